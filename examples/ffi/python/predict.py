"""Loads a checkpoint in one thread, predicts the made-up rows in four others, and prints the bits of the
probabilities; then the same with a frozen copy.

Usage: predict.py MODEL"""

import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import home
import rows

THREADS = 4


def predict_share(model, share):
    return model.predict(rows.dense(model, share), rows.ids(model, share))


def main(path):
    with ThreadPoolExecutor(1) as loader:
        model = loader.submit(home.Model.load, path).result()
    with model, model.freeze() as frozen, ThreadPoolExecutor(THREADS) as threads:
        size = rows.ROWS // THREADS
        shares = [range(i * size, (i + 1) * size) for i in range(THREADS)]
        for served in (model, frozen):
            for share in threads.map(lambda share: predict_share(served, share), shares):
                for row in share:
                    print(*(struct.pack(">f", probability).hex() for probability in row))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        print("usage: predict.py MODEL", file=sys.stderr)
        sys.exit(2)
    try:
        main(sys.argv[1])
    except home.HomeError as error:
        sys.exit(f"error {error.status}: {error}")
