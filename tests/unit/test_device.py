"""The runner of torch models, on the CPU: what it makes of a full memory and of a GPU that goes away is the same everywhere."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from indexer.run import RunRequest, index  # noqa: E402
from search.encoders.device import FIRST_BATCH, DeviceRunner, _Batch, choose, flops, matmul_rate  # noqa: E402
from search.errors import ModelMissing  # noqa: E402
from search.store import Database, SqlStore  # noqa: E402
from tests.waiting import LONG  # noqa: E402

ROWS = np.arange(40, dtype=np.float32).reshape(20, 2)


class Model:
    """Doubles its inputs; has room for ``most`` at once, and remembers how many it was given."""

    def __init__(self, most: int = 1000) -> None:
        self.most, self.sizes = most, []

    def double(self, rows: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return rows * 2


def test_inputs_are_run_in_batches_and_come_back_in_order():
    model = Model()
    np.testing.assert_array_equal(DeviceRunner("cpu", batch=8).run(model.double, [ROWS]), 2 * ROWS)
    assert model.sizes == [8, 8, 4]


def test_no_inputs_give_no_rows():
    assert len(DeviceRunner("cpu").run(Model().double, [ROWS[:0]])) == 0


def test_a_full_memory_halves_the_batch_for_good():
    model, runner = Model(most=3), DeviceRunner("cpu", batch=8)
    np.testing.assert_array_equal(runner.run(model.double, [ROWS]), 2 * ROWS)
    assert model.sizes == [8, 4, *[2] * 10]
    model.sizes.clear()
    np.testing.assert_array_equal(runner.run(model.double, [ROWS]), 2 * ROWS)
    assert model.sizes == [2] * 10


def test_one_function_that_takes_much_room_does_not_slow_another():
    large, small, runner = Model(most=2), Model(), DeviceRunner("cpu", batch=8)
    runner.run(large.double, [ROWS])
    runner.run(small.double, [ROWS])
    assert max(small.sizes) == 8


def test_a_memory_that_is_full_in_cudas_own_words_counts_too():
    sizes = []

    def multiply(rows):
        sizes.append(len(rows))
        if len(rows) > 4:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return rows

    np.testing.assert_array_equal(DeviceRunner("cpu", batch=8).run(multiply, [ROWS]), ROWS)
    assert sizes == [8, 4, 4, 4, 4, 4]


def test_what_never_fits_is_told_as_such():
    with pytest.raises(MemoryError, match="does not hold one"):
        DeviceRunner("cpu").run(Model(most=0).double, [ROWS])


def test_threads_that_run_out_of_memory_together_lose_no_row():
    model, runner = Model(most=2), DeviceRunner("cpu", batch=8)
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda start: runner.run(model.double, [ROWS + start]), range(20)))
    for start, rows in enumerate(found):
        np.testing.assert_array_equal(rows, 2 * (ROWS + start))


def test_an_error_of_the_model_stays_what_it_is():
    def broken(rows):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        DeviceRunner("cpu").run(broken, [ROWS])


def lost(*_):
    raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later.")


def test_a_gpu_that_goes_away_is_told_as_that():
    with pytest.raises(ModelMissing, match=r"gone: CUDA error: unspecified launch failure$") as caught:
        DeviceRunner("cpu").run(lost, [ROWS])
    assert "nvidia-smi" in caught.value.remedy


@pytest.mark.parametrize("device", ["gpu", "cuda:64", "cuda"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelMissing, match=repr(device)) as caught:
        choose(device)
    assert "auto, cpu" in caught.value.remedy


def test_auto_is_the_gpu_where_there_is_one():
    assert choose("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def found(rate) -> int:
    """The size that is settled on where so many inputs a second are run at a size."""
    batch = _Batch(FIRST_BATCH, settled=False)
    for _ in range(100):
        if batch.settled:
            break
        batch.ran(batch.size / rate(batch.size))
    return batch.size


def test_a_batch_grows_as_long_as_that_gains_anything():
    assert found(lambda size: min(size, 200)) == 256
    assert found(lambda size: 1000) == FIRST_BATCH


def test_a_slow_first_run_at_a_size_does_not_count_against_it():
    batch = _Batch(FIRST_BATCH, settled=False)
    for seconds in (1.0, 0.1, 1.0, 0.1, 9.0, 0.2):
        batch.ran(seconds)
    assert (batch.size, batch.settled) == (2 * FIRST_BATCH, True)


def test_inputs_are_prepared_while_another_thread_computes(monkeypatch):
    """The turn is held for the model's call alone: the second thread brings its inputs while the first one computes."""
    runner, brought, may_end = DeviceRunner("cpu"), threading.Semaphore(0), threading.Event()
    bring = runner._bring

    def noticed(tensors):
        brought.release()
        return bring(tensors)

    monkeypatch.setattr(runner, "_bring", noticed)

    def slow(rows):
        assert may_end.wait(LONG)
        return rows

    with ThreadPoolExecutor(2) as executor:
        running = [executor.submit(runner.run, slow, [ROWS[:4]]) for _ in range(2)]
        assert all(brought.acquire(timeout=LONG) for _ in running)
        time.sleep(0.05)
        may_end.set()
        assert all(len(one.result()) == 4 for one in running)


def test_a_gpu_that_goes_away_ends_the_run_and_fails_no_file(settings, archive, encoder, monkeypatch):
    """Files that were not encoded wait for the next run; those that were acknowledged stay."""
    index(settings, RunRequest([archive / "texts"]), encoder=encoder)
    real, runner = encoder.encode, DeviceRunner("cpu")
    monkeypatch.setattr(encoder, "encode", lambda *_: runner.run(lost, [ROWS]))
    with pytest.raises(ModelMissing, match="gone"):
        index(settings, RunRequest([archive]), encoder=encoder)
    database = Database(settings.database)
    assert SqlStore(database).failures() == []
    database.close()
    monkeypatch.setattr(encoder, "encode", real)
    assert index(settings, RunRequest([archive]), encoder=encoder).progress.failed == 0


def test_a_gpu_that_goes_away_while_a_batch_is_tried_piece_by_piece_fails_no_file(settings, archive, encoder, monkeypatch):
    runner, asked = DeviceRunner("cpu"), []

    def fail(modality, batch):
        asked.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError("something about this batch")
        return runner.run(lost, [ROWS])

    monkeypatch.setattr(encoder, "encode", fail)
    with pytest.raises(ModelMissing, match="gone"):
        index(settings, RunRequest([archive]), encoder=encoder)


def test_operations_are_counted_as_two_for_each_multiplication_even_where_layers_are_fused():
    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    rows = torch.zeros(1, 10, 64)

    def call():
        with torch.inference_mode():
            layer(rows)

    weights = 4 * 64 * 64 + 2 * 64 * 128
    attention = 2 * 10 * 64  # which the counter does not see on a CPU
    assert flops(call) == pytest.approx(2 * 10 * (weights + attention), rel=0.05)


def test_the_rate_of_matrix_products_is_measured():
    assert matmul_rate(torch.device("cpu"), side=64, seconds=0.01) > 1e6


def test_what_is_more_than_one_pass_is_halved_too_and_stays_in_order():
    model = Model(most=3)

    def write(items):
        return [f"{number:.0f}" for number in model.double(torch.tensor(items)).tolist()]

    runner = DeviceRunner("cpu")
    assert runner.each(write, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 6) == ["2", "4", "6", "8", "10", "12", "14"]
    assert model.sizes == [6, 3, 3, 1]
    model.most = 0
    with pytest.raises(MemoryError):
        runner.each(write, [1.0], 6)
    with pytest.raises(RuntimeError, match="else"):
        runner.each(_fails, [1.0], 6)


def _fails(items):
    raise RuntimeError("something else")
