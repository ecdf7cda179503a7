"""Ask a running `sensorium serve` over HTTP, with a text or with a file.

python examples/ask_the_service.py http://127.0.0.1:8571 "a dog"
python examples/ask_the_service.py http://127.0.0.1:8571 bark.wav
"""

import sys
from pathlib import Path

from search.api.client import Client


def main(address: str, question: str) -> None:
    """Print the best three answers. Without a token the client uses the one of this user's home."""
    with Client(address) as client:
        asked = [{"upload": client.upload(Path(question)).id}] if Path(question).is_file() else question
        for hit in client.search(asked, k=3).hits:
            print(hit.rank, hit.asset.name, hit.channel, f"{address}{hit.links.moment}")


if __name__ == "__main__":
    main(*sys.argv[1:])
