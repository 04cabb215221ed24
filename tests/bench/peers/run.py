"""Times libhome beside other libraries, all in turn in one run, and prints the tables of docs/performance.md.

Run by `make bench-peers`, which builds the workers first. What is not installed is left out with a message; README.md
says how to install it. BENCH_QUICK=1 makes one short round.
"""

import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = "build"
FOLDER = f"{BUILD}/peers"
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's PyTorch
OPENBLAS_OPENMP = "/usr/lib/x86_64-linux-gnu/openblas-openmp"

QUICK = os.environ.get("BENCH_QUICK") == "1"
ROUNDS, SLICE = (1, 0.03) if QUICK else (5, 0.1)
TOLERANCE = 1e-4  # of a probability

PREDICT = [("predict", name, batch) for name in "SML" for batch in (1, 16, 128, 2048)]
TRAIN = [("train_step", name, batch) for name in "SML" for batch in (128, 512, 2048)]
SHAPES = ["16x512x1024", "128x512x1024", "2048x1024x3072", "16x16x128"]
GEMM = [("gemm", shape + form, int(shape.split("x")[0])) for shape in SHAPES for form in ("", "-dX", "-dW")]
MODELS, PRODUCTS = ["PyTorch", "ONNX Runtime"], ["OpenBLAS", "BLIS", "oneDNN", "libxsmm"]
BLIS_AVX512 = "BLIS for AVX-512"


def cpu_flags():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].split() for line in file if line.startswith("flags")), [])


def environment(threads):
    """What each peer needs to be at its best. Whatever the caller's environment says about them is dropped."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("OPENBLAS_", "BLIS_", "OMP_", "GOMP_", "DNNL_", "ONEDNN_", "ATEN_", "MKL_", "HOME_ISA"))}
    count = str(threads)
    kept.update(OMP_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count, BLIS_NUM_THREADS=count)
    kept.update(GOMP_SPINCOUNT="1000")  # some 50 us: waiting for longer is a disaster as soon as others use a core too
    if "avx512f" in cpu_flags():
        # These versions choose AVX2 or plain C on CPUs that are younger than they are.
        kept.update(OPENBLAS_CORETYPE="SKYLAKEX", ATEN_CPU_CAPABILITY="avx512")
    return kept


class Worker:
    """A process of worker.h. `options` are added to the environment."""

    def __init__(self, name, command, threads, options=()):
        self.name = name
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        self.log = open(f"{FOLDER}/{name.replace(' ', '-')}.log", "w")
        self.process = subprocess.Popen(command, env={**environment(threads), **dict(options)}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def ask(self, op, config, batch):
        """(microseconds, style, values), or None."""
        self.process.stdin.write(f"{op} {config} {batch} {SLICE}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            sys.exit(f"bench-peers: {self.name} has ended; see {self.log.name}")
        return None if answer == ["-"] else (float(answer[0]), answer[1], [float(value) for value in answer[2:]])

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def succeeds(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def installed():
    """Commands of the peers that are there: name -> (command for a number of threads, options)."""
    peers = {}
    for name in PRODUCTS:
        program = f"{BUILD}/bench-{name.lower()}"
        if os.path.exists(program):
            peers[name] = (lambda threads, program=program: [program], {})
    if "BLIS" in peers and "avx512f" in cpu_flags():  # as OpenBLAS, but for some shapes its own choice is better
        peers[BLIS_AVX512] = (peers["BLIS"][0], {"BLIS_ARCH_TYPE": "0"})
    has_torch = succeeds([PYTHON, "-c", "import torch, numpy"])
    if has_torch:
        # With two threads OpenBLAS must be its OpenMP build: the other one's threads fight with PyTorch's.
        openmp = {"LD_LIBRARY_PATH": OPENBLAS_OPENMP} if os.path.isdir(OPENBLAS_OPENMP) else {}
        peers["PyTorch"] = (lambda threads: [PYTHON, "-B", f"{HERE}/torch_peer.py", FOLDER, str(threads)], openmp)
    if has_torch and os.path.isdir(f"{FOLDER}/node_modules/onnxruntime-node") and succeeds(["node", "--version"]):
        print("exporting to ONNX", file=sys.stderr)
        subprocess.run([PYTHON, "-B", f"{HERE}/export_onnx.py", FOLDER], check=True, env=environment(1))
        peers["ONNX Runtime"] = (lambda threads: ["node", f"{HERE}/ort_peer.js", FOLDER, str(threads)], {})
    for name in MODELS + PRODUCTS:
        if name not in peers:
            print(f"{name} is not installed (tests/bench/peers/README.md says how): left out", file=sys.stderr)
    return peers


def check(case, name, values, expected):
    """All must compute the same."""
    for value, truth in zip(values, expected):
        if not abs(value - truth) <= TOLERANCE:
            sys.exit(f"bench-peers: {case}: {name} gives {value}, libhome {truth}")


def run_rounds(workers, cases, results, threads):
    """workers: libhome's first. results: (op, config, batch, threads) -> name -> [(us, style)]"""
    for number in range(ROUNDS):
        for case in cases:
            if QUICK and case == ("train_step", "L", 2048):
                continue
            expected = []
            for worker in workers:
                answer = worker.ask(*case)
                if answer is None:
                    continue
                us, style, values = answer
                expected = expected or values
                check(case, worker.name, values, expected)
                results.setdefault((*case, threads), {}).setdefault(worker.name, []).append((us, style))
        print(f"{threads} thread(s): round {number + 1} of {ROUNDS} done", file=sys.stderr)


def median(times):
    return statistics.median(us for us, _ in times)


def table(results, threads, cases, names):
    """Markdown: microseconds, the style of each peer, and how many times faster libhome is than the best of them."""
    rows = [(case, results[(*case, threads)]) for case in cases if (*case, threads) in results]
    names = [name for name in names if any(name in times for _, times in rows)]
    if not rows or not names:
        return
    print("| case | libhome us | " + " | ".join(f"{name} us" for name in names) + " | best peer / libhome |")
    print("|---|---:|" + "---:|" * (len(names) + 1))
    for (op, config, batch), times in rows:
        own = median(times["libhome"])
        peers = {name: median(times[name]) for name in names if name in times}
        cells = [f"{peers[name]:,.1f} ({times[name][-1][1]})" if name in peers else "" for name in names]
        label = config if op == "gemm" else f"{op} {config}, {batch} row{'s' if batch > 1 else ''}"
        ratio = f"{min(peers.values()) / own:.2f}" if peers else ""
        print(f"| {label} | {own:,.1f} | " + " | ".join(cells) + f" | {ratio} |")
    print(flush=True)


def write_lines(results):
    with open(f"{BUILD}/bench-peers.jsonl", "w") as file:
        for (op, config, batch, threads), times in results.items():
            for name, samples in times.items():
                file.write(json.dumps({"op": op, "config": config, "batch": batch, "threads": threads, "library": name,
                                       "style": samples[-1][1], "us": round(median(samples), 3)}) + "\n")


def main():
    os.makedirs(FOLDER, exist_ok=True)
    subprocess.run([f"{BUILD}/bench-home", "--export", FOLDER], check=True)
    peers, results = installed(), {}
    products = [*PRODUCTS, BLIS_AVX512]
    for threads in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        names = MODELS + (products if threads == 1 else [])
        workers = [Worker("libhome", [f"{BUILD}/bench-home", str(threads)], threads)]
        workers += [Worker(name, peers[name][0](threads), threads, peers[name][1]) for name in names if name in peers]
        run_rounds(workers, PREDICT + TRAIN + (GEMM if threads == 1 else []), results, threads)
        for worker in workers:
            worker.close()
        print(f"### {threads} thread{'s' if threads > 1 else ''}\n")
        table(results, threads, PREDICT, MODELS)
        table(results, threads, TRAIN, MODELS)
        table(results, threads, GEMM, products)
    write_lines(results)


main()
