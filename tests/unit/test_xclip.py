"""X-CLIP: what its similarities tell apart, that trained weights do what the authors' code does with them, and what re-ranking keeps.

A thousand shots of ten frames with 32 words of 512 numbers take 22 ms on one core; `python -m tests.bench rerank` measures it.
"""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import ModelMissing
from search.query.xclip import XClip, rerank
from search.query.xclip_checkpoint import SIDES, read

WORDS, FRAMES, DIM = 9, 6, 128


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def some(count: int, dim: int, seed: int) -> np.ndarray:
    """Rows that point roughly the same way, as those of CLIP do."""
    rng = np.random.default_rng(seed)
    return unit(np.ones(dim) * 0.5 + rng.standard_normal((count, dim)))


def weights(seed: int = 0, *, layers: int = 0) -> dict[str, np.ndarray]:
    """Made-up trained weights, in the layout of the authors' checkpoints; without ``layers`` there is no temporal transformer."""
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)

    sizes = {"dim": DIM, "words": WORDS, "frames": FRAMES}
    made = {key: np.eye(sizes[side], dtype=np.float32) + 0.3 * noise(sizes[side], sizes[side]) for key, side in SIDES.items()}
    made["clip.logit_scale"] = np.array(np.log(100), np.float32)
    if layers:
        made["frame_position_embeddings.weight"] = noise(77, DIM)
    for layer in range(layers):
        for name, shape in (
            ("attn.in_proj_weight", (3 * DIM, DIM)), ("attn.in_proj_bias", (3 * DIM,)), ("attn.out_proj.weight", (DIM, DIM)),
            ("attn.out_proj.bias", (DIM,)), ("mlp.c_fc.weight", (4 * DIM, DIM)), ("mlp.c_fc.bias", (4 * DIM,)),
            ("mlp.c_proj.weight", (DIM, 4 * DIM)), ("mlp.c_proj.bias", (DIM,)), ("ln_1.weight", (DIM,)), ("ln_1.bias", (DIM,)),
            ("ln_2.weight", (DIM,)), ("ln_2.bias", (DIM,)),
        ):  # fmt: skip
            made[f"transformerClip.resblocks.{layer}.{name}"] = noise(*shape) + (1 if name.endswith("ln_1.weight") else 0)
    return made


@pytest.fixture
def saved(tmp_path):
    """Writes tensors to a safetensors file."""
    safetensors = pytest.importorskip("safetensors.numpy")

    def save(tensors: dict[str, np.ndarray]):
        safetensors.save_file(tensors, tmp_path / "xclip.safetensors")
        return tmp_path / "xclip.safetensors"

    return save


def authors(tensors: dict[str, np.ndarray], words: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """What the authors' modules make of words (words, dim) and shots (n, frames, dim): ``XCLIP._loose_similarity``, with its layers from torch."""
    torch = pytest.importorskip("torch")
    w = {key: torch.from_numpy(tensor).double() for key, tensor in tensors.items()}
    texts, videos = torch.from_numpy(words).double()[None], torch.from_numpy(shots).double()
    original, (_, frames, dim) = videos, videos.shape
    if "frame_position_embeddings.weight" in w:
        videos = (videos + w["frame_position_embeddings.weight"][torch.arange(frames)]).permute(1, 0, 2)
        for layer in range(sum("ln_1.bias" in key for key in w)):
            block = {
                key.split(".", 3)[3]: tensor for key, tensor in w.items() if key.startswith(f"transformerClip.resblocks.{layer}.")
            }
            attention = torch.nn.MultiheadAttention(dim, dim // 64).double().eval()
            attention.load_state_dict({key[5:]: tensor for key, tensor in block.items() if key.startswith("attn.")})

            def norm(rows, name, block=block):
                mean = rows.mean(-1, keepdim=True)
                spread = (rows - mean).pow(2).mean(-1, keepdim=True)
                return block[f"{name}.weight"] * (rows - mean) / torch.sqrt(spread + 1e-12) + block[f"{name}.bias"]

            seen = norm(videos, "ln_1")
            videos = videos + attention(seen, seen, seen, need_weights=False, attn_mask=torch.zeros(frames, frames).double())[0]
            hidden = torch.nn.functional.linear(norm(videos, "ln_2"), block["mlp.c_fc.weight"], block["mlp.c_fc.bias"])
            hidden = hidden * torch.sigmoid(1.702 * hidden)
            videos = videos + torch.nn.functional.linear(hidden, block["mlp.c_proj.weight"], block["mlp.c_proj.bias"])
        videos = videos.permute(1, 0, 2) + original
    video = torch.nn.functional.normalize(torch.nn.functional.normalize(videos, dim=-1).mean(1), dim=-1)
    frame, word = torch.nn.functional.normalize(original, dim=-1), torch.nn.functional.normalize(texts, dim=-1)
    sentence = word[:, -1]

    def attend(similarities, *names):  # over the last axis, as often as there are names
        for name in names:
            turned = torch.einsum("...i,ij->...j", torch.softmax(similarities / 1e-2, dim=-1), w[name])
            similarities = (turned * similarities).sum(-1)
        return similarities

    each = torch.einsum("twd,de,vfe->tvwf", word, w["local_mat_weight"], frame)
    by_grain = [
        torch.einsum("td,de,ve->tv", sentence, w["global_mat_weight"], video),
        attend(torch.einsum("twd,vd->tvw", word, video), "word_logit_weight"),
        attend(torch.einsum("td,vfd->tvf", sentence, frame), "frame_logit_weight"),
        attend(each, "frame_mat_weight", "word_mat_weight2") / 2
        + attend(each.transpose(-1, -2), "word_mat_weight", "frame_mat_weight2") / 2,
    ]
    logits = w["clip.logit_scale"].exp() * sum(by_grain) / 4
    return logits[0].detach().numpy()


@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_trained_weights_do_what_they_do_in_the_authors_code(saved, layers, seed):
    tensors = weights(seed, layers=layers)
    words, shots = some(WORDS, DIM, 1), 10 * some(5 * FRAMES, DIM, 2).reshape(5, FRAMES, DIM)
    found = XClip.load(saved(tensors)).similarities(words, list(shots))
    assert np.abs(found - authors(tensors, words, shots)).max() < 1e-4
    assert np.ptp(found) > 0.1


def test_what_is_shorter_than_the_matrices_uses_their_leading_part():
    tensors = weights(layers=2)
    sizes = {"dim": DIM, "words": 4, "frames": 3}
    cut = tensors | {key: tensors[key][: sizes[side], : sizes[side]] for key, side in SIDES.items()}
    words, shots = some(4, DIM, 1), some(6, DIM, 2).reshape(2, 3, DIM)
    assert XClip(tensors).similarities(words, list(shots)) == pytest.approx(authors(cut, words, shots), abs=1e-4)


def test_what_is_longer_than_the_matrices_is_sampled_and_cut_but_keeps_the_sentence():
    model, words, frames = XClip(weights(layers=1)), some(WORDS + 5, DIM, 1), some(11, DIM, 2)
    kept = np.concatenate([words[: WORDS - 1], words[-1:]])
    assert model.similarities(words, [frames]) == pytest.approx(model.similarities(kept, [frames[::2]]))


def test_matrices_that_are_still_the_identity_change_nothing_but_the_scale():
    sizes = {"dim": DIM, "words": WORDS, "frames": FRAMES}
    untrained = {key: np.eye(sizes[side], dtype=np.float32) for key, side in SIDES.items()}
    untrained["clip.logit_scale"] = np.array(np.log(20), np.float32)
    words, shots = some(WORDS, DIM, 1), [some(3, DIM, 2), some(FRAMES, DIM, 3)]
    assert XClip(untrained).similarities(words, shots) == pytest.approx(20 * XClip().similarities(words, shots), rel=1e-5)


def test_it_prefers_things_shown_one_after_the_other_to_a_blur_of_the_same_mean():
    dog, ball, street, sky, fog = np.eye(5, dtype=np.float32)
    words = unit([dog, ball, dog + ball])
    clear = unit([dog, ball, street, sky])
    blur = unit([(dog + ball) / 2 + fog * 0.5**0.5] * 4)
    means = [words[-1] @ unit(shot.mean(axis=0)) for shot in (clear, blur)]
    assert means[0] == pytest.approx(means[1])
    first, second = XClip().similarities(words, [clear, blur])
    assert first > second + 0.05


def test_one_frame_and_one_word_are_compared_by_their_cosine():
    word, frame = some(1, 16, 1), some(1, 16, 2)
    assert XClip().similarities(word, [frame, np.repeat(frame, 7, axis=0)]) == pytest.approx(
        [(word @ frame.T).item()] * 2, abs=1e-6
    )


def test_one_frame_stands_between_its_likeness_to_the_sentence_and_to_the_best_word():
    words, frame = some(8, 16, 1), some(1, 16, 2)
    cosines = words @ frame[0]
    (found,) = XClip().similarities(words, [frame])
    assert cosines[-1] - 1e-6 <= found <= (cosines[-1] + cosines.max()) / 2 + 1e-6


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 7), st.integers(2, 40))
def test_neither_the_order_of_frames_nor_their_repetition_counts(seed, words, frames, dim):
    rng = np.random.default_rng(seed)
    text, shot = unit(rng.standard_normal((words, dim))), unit(rng.standard_normal((frames, dim)))
    one, *others = XClip().similarities(text, [shot, rng.permutation(shot), np.repeat(shot, 3, axis=0), 5 * shot])
    assert others == pytest.approx([one] * 3, abs=1e-4)
    assert -1 - 1e-5 <= one <= 1 + 1e-5


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), max_size=300), st.integers(0, 10**6))
def test_a_shot_is_as_alike_alone_as_among_others(lengths, seed):
    rng = np.random.default_rng(seed)
    text, shots = unit(rng.standard_normal((4, 8))), [unit(rng.standard_normal((length, 8))) for length in lengths]
    together = XClip().similarities(text, shots)
    assert (together.shape, together.dtype) == ((len(shots),), np.float32)
    for at in range(0, len(shots), 37):
        assert XClip().similarities(text, [shots[at]])[0] == pytest.approx(together[at], abs=1e-5)


def test_frames_that_cancel_out_leave_what_each_of_them_shows():
    dog = np.array([1, 0], np.float32)
    (found,) = XClip().similarities(dog[None], [np.stack([dog, -dog])])
    assert found == pytest.approx(0.5, abs=1e-6)


GOOD = some(3, 4, 0)


@pytest.mark.parametrize(
    ("words", "shot", "message"),
    [
        (GOOD[:0], GOOD, "the words"),
        (GOOD, GOOD[:0], "shot 1"),
        (GOOD, some(3, 5, 0), "rows of 4 numbers"),
        (GOOD, GOOD[0], "shot 1"),
        (GOOD, np.array([[np.nan, 0, 0, 1]]), "not finite: a row of shot 1"),
        (GOOD, np.array([[np.inf, 0, 0, 1]]), "not finite: a row of shot 1"),
        (np.array([[np.nan, 0, 0, 1]]), GOOD, "not finite: a row of the words"),
        (GOOD, np.zeros((2, 4)), "all zero"),
    ],
)
def test_rows_that_have_no_direction_are_refused(words, shot, message):
    with pytest.raises(ValueError, match=message):
        XClip().similarities(words, [GOOD, shot])


def test_words_of_another_width_than_the_weights_are_refused():
    with pytest.raises(ValueError, match=f"rows of {DIM} numbers"):
        XClip(weights()).similarities(GOOD, [GOOD])


def test_towers_in_the_same_file_are_left_alone(saved):
    file = saved(weights() | {"clip.visual.proj": np.full((2, 2), np.nan, np.float32)})
    assert set(read(file)) == {*SIDES, "clip.logit_scale"}


@pytest.mark.parametrize("key", sorted(weights(layers=2)))
def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(saved, key):
    tensors = weights(layers=2)
    del tensors[key]
    with pytest.raises(ModelMissing, match=re.escape(f"xclip.safetensors lacks {key}.")):
        XClip.load(saved(tensors))


@pytest.mark.parametrize(
    ("key", "tensor", "message"),
    [
        ("word_mat_weight2", np.eye(WORDS + 1), r"holds word_mat_weight2 of shape \(10, 10\)"),
        ("global_mat_weight", np.float32(1), "holds global_mat_weight of shape"),
        ("frame_logit_weight", np.eye(0), "frame_logit_weight"),
        ("frame_position_embeddings.weight", np.ones((FRAMES - 1, DIM)), "frame_position_embeddings.weight of shape"),
        ("transformerClip.resblocks.0.mlp.c_fc.bias", np.ones(DIM), r"mlp.c_fc.bias of shape \(128,\)"),
        ("local_mat_weight", np.full((DIM, DIM), np.nan), "numbers in local_mat_weight that are not finite"),
        ("clip.logit_scale", np.array(4), "clip.logit_scale as I64"),
        ("lstm_visual.weight_ih_l0", np.ones((2, 2)), "the header seqLSTM"),
        ("similarity_dense.weight", np.ones((1, 2)), "the header tightTransf"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(saved, key, tensor, message):
    with pytest.raises(ModelMissing, match=message):
        XClip.load(saved(weights(layers=1) | {key: np.asarray(tensor)}))


def test_a_file_that_is_not_whole_is_refused(saved, tmp_path):
    file = saved(weights())
    whole = file.read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ModelMissing, match="not a whole safetensors file"):
            XClip.load(file)
    for nothing in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelMissing, match="There is no file"):
            XClip.load(nothing)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_and_its_remedy_converts_it(tmp_path, monkeypatch, zipped):
    torch = pytest.importorskip("torch")
    file, tensors = tmp_path / "pytorch_model.bin.4", weights(layers=1)
    halves = {key: torch.from_numpy(tensor) for key, tensor in tensors.items()} | {"clip.visual.proj": torch.ones(2).half()}
    torch.save(halves, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelMissing, match="is a pickle, which can run any program") as caught:
        XClip.load(file)
    monkeypatch.chdir(tmp_path)
    exec(re.search('python -c "(.*)"', caught.value.remedy)[1], {})
    loaded = XClip.load(tmp_path / "xclip.safetensors").weights
    assert all(np.array_equal(loaded[key], tensor) for key, tensor in tensors.items())


def test_without_safetensors_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModelMissing, match="package safetensors") as caught:
        XClip.load(tmp_path / "xclip.safetensors")
    assert "pip install" in caught.value.remedy


def test_importing_it_brings_no_framework_along():
    code = "import sys, search.query.xclip; sys.exit(any(name in sys.modules for name in ('torch', 'safetensors')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shots_put_in_a_new_order_share_the_scores_that_they_had():
    order = [(1, 5.0), (2, 4.0), (3, 3.0), (4, 2.0), (5, 1.0)]
    assert rerank(order, {1: 0.1, 3: 0.3, 4: 0.2}) == [(3, 5.0), (2, 4.0), (4, 3.0), (1, 2.0), (5, 1.0)]


@given(st.lists(st.floats(-9, 9), max_size=20), st.dictionaries(st.integers(0, 25), st.floats(allow_nan=False)))
def test_reranking_keeps_ids_and_scores_and_the_places_of_the_others(scores, similarities):
    order = list(enumerate(sorted(scores, reverse=True)))
    ranked = rerank(order, similarities)
    assert [score for _, score in ranked] == [score for _, score in order]
    assert sorted(id_ for id_, _ in ranked) == [id_ for id_, _ in order]
    assert all(ranked[id_] == (id_, score) for id_, score in order if id_ not in similarities)
    alike = [(-similarities[id_], id_) for id_, _ in ranked if id_ in similarities]
    assert alike == sorted(alike)
    assert rerank(ranked, similarities) == ranked


def test_a_similarity_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not a number"):
        rerank([(1, 2.0)], {1: float("nan")})
