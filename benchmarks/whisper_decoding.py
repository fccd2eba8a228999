"""CPU time per utterance of Whisper: torch, optimum's decoding loop on ONNX Runtime, and autocompress's own.

All of them decode the same utterances greedily, on one thread, in turns, so that drift of the machine hits all alike;
the token ids of every float engine must be the same.

    python benchmarks/whisper_decoding.py MODEL_FOLDER AUDIO_TABLE.csv [--utterances 40] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from optimum.onnxruntime import ORTModelForSpeechSeq2Seq
from transformers import AutoConfig, WhisperForConditionalGeneration

from autocompress import registry
from autocompress.data.parts import read_parts
from autocompress.recipe_file import Export, RecipeFile, RecipeModel
from autocompress.search.apply import apply_recipe
from autocompress.spec import DataSpec, ModelSpec

MAX_NEW_TOKENS = 20

Engine = Callable[[np.ndarray], np.ndarray]


def own_engine(model: ModelSpec, steps: list[str], folder: Path) -> Engine:
    """The ONNX artifact that `autocompress apply` makes, decoded by its own loop."""
    document = RecipeFile(
        model=RecipeModel(path=model.path, task="speech-seq2seq"), steps=steps, export=Export(format="onnx")
    )
    apply_recipe(
        document,
        folder,
        model=model,
        other_allowed=False,
        data=None,
        device="cpu",
        threads=1,
        on_progress=lambda _: None,
    )
    runner = registry.load("formats", "onnx")().load(folder, "cpu", 1)
    return lambda features: runner.generate({"input_features": features}, MAX_NEW_TOKENS)


def optimum_engine(path: str, folder: Path) -> Engine:
    """The same model exported by optimum and decoded by transformers' `generate` over its sessions."""
    import onnxruntime
    from optimum.exporters.onnx import main_export

    frames = 2 * AutoConfig.from_pretrained(path).max_source_positions  # optimum takes 30 s windows for granted
    task = "automatic-speech-recognition-with-past"
    main_export(path, output=folder, task=task, nb_max_frames=frames, do_validation=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = ORTModelForSpeechSeq2Seq.from_pretrained(folder, session_options=options)
    return lambda features: model.generate(torch.from_numpy(features), max_new_tokens=MAX_NEW_TOKENS).numpy()


def torch_engine(path: str) -> Engine:
    """The original, decoded by transformers' `generate`."""
    model = WhisperForConditionalGeneration.from_pretrained(path).eval()

    def generate(features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model.generate(torch.from_numpy(features), max_new_tokens=MAX_NEW_TOKENS).numpy()

    return generate


def main() -> None:
    """Build the engines, time them in turns, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a Whisper model")
    parser.add_argument("table", help="table with a column of audio files and one of transcripts")
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = ModelSpec(path=arguments.model)
    task = registry.load("tasks", "speech-seq2seq")()
    rows = read_parts(DataSpec(search=arguments.table, fractions=(0.01, 0.98, 0.01)), task.roles, 0)["search"]
    features = [s.inputs["input_features"] for s in task.samples(model, rows.take(range(arguments.utterances)))]
    with tempfile.TemporaryDirectory() as temporary:
        engines: dict[str, Engine] = {
            "torch float32, generate": torch_engine(model.path),
            "ONNX Runtime float32, optimum's generate": optimum_engine(model.path, Path(temporary) / "optimum"),
            "ONNX Runtime float32, autocompress": own_engine(model, [], Path(temporary) / "float"),
            "ONNX Runtime int8 dynamic, autocompress": own_engine(
                model, [{"int8_dynamic": {"per_channel": True}}], Path(temporary) / "int8"
            ),
        }
        answers = {name: [engine(one)[0].tolist() for one in features] for name, engine in engines.items()}
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(arguments.rounds):
            for name, engine in engines.items():
                started = time.process_time()
                for one in features:
                    engine(one)
                seconds[name].append((time.process_time() - started) / len(features))
    config = AutoConfig.from_pretrained(model.path)
    frame_tokens = {config.decoder_start_token_id, config.eos_token_id, config.pad_token_id}
    reference = _words(answers["torch float32, generate"], frame_tokens)
    print(f"{len(features)} utterances, median of {arguments.rounds} rounds, one thread")
    for name, times in seconds.items():
        same = sum(one == other for one, other in zip(_words(answers[name], frame_tokens), reference, strict=True))
        print(f"{statistics.median(times) * 1000:6.1f} ms of CPU   {same}/{len(features)} same tokens   {name}")


def _words(answers: list[list[int]], frame_tokens: set[int]) -> list[list[int]]:
    """Token ids without those that open, close and pad an answer, which the engines return differently."""
    return [[token for token in answer if token not in frame_tokens] for answer in answers]


if __name__ == "__main__":
    main()
