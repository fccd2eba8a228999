"""From a torch module to float ONNX graphs: the one place that knows an exporter library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.errors import Unsupported
from autocompress.formats.onnx.generation import DEFAULT_MAX_LENGTH, GenerationSettings

if TYPE_CHECKING:
    from torch import nn

    from autocompress.compressible import Inputs

OPSET = 18
OPTIMUM_TASKS = {
    "text-classification": "text-classification",
    "image-classification": "image-classification",
    "speech-ctc": "automatic-speech-recognition",
    "speech-seq2seq": "automatic-speech-recognition",
    "language-modelling": "text-generation",
}
GENERATING_TASKS = ("speech-seq2seq", "language-modelling")


def export_float(module: nn.Module, folder: Path, task: str, example: Inputs) -> None:
    """Write float32 graphs of ``module``.

    One graph ``model.onnx``, or ``encoder_model.onnx`` and ``decoder_model.onnx``. Tensor names are those that optimum
    gives (``past_key_values.0.key``, ``present.0.key``).

    Raises:
        Unsupported: the exporter does not know the architecture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(module, "config") and task in OPTIMUM_TASKS:
        _export_transformers(module, folder, task)
    else:
        _export_plain(module, folder, example)


def _export_transformers(module: nn.Module, folder: Path, task: str) -> None:
    from optimum.exporters.onnx import export
    from optimum.exporters.tasks import TasksManager

    config: Any = module.config
    try:
        make_config = TasksManager.get_exporter_config_constructor(
            exporter="onnx", model=module, task=OPTIMUM_TASKS[task], library_name="transformers"
        )
    except (KeyError, ValueError) as problem:
        raise Unsupported(f"optimum cannot export {config.model_type} models to ONNX: {problem}") from problem
    if task == "speech-seq2seq":
        from autocompress.formats.onnx.encoder_decoder import export_encoder_decoder

        export_encoder_decoder(module, make_config, folder)
    elif task == "language-modelling":
        onnx_config = make_config(config, use_past=True, use_past_in_inputs=True)
        export(module, onnx_config, folder / "model.onnx", opset=OPSET)
    else:
        export(module, make_config(config), folder / "model.onnx", opset=OPSET)


def generation_settings(module: nn.Module) -> GenerationSettings:
    """Read the model's generation configuration.

    Raises:
        Unsupported: the configuration asks for something else than greedy decoding in one known language.
    """
    config: Any = module.generation_config
    if (config.num_beams or 1) > 1 or config.do_sample:
        raise Unsupported("the ONNX runner decodes greedily; the model's generation settings ask for beams or samples")
    whisper = getattr(module.config, "model_type", "") == "whisper"
    eos = _ids(config.eos_token_id)
    pad = config.pad_token_id if config.pad_token_id is not None else (eos[0] if eos else 0)
    prompt = _ids(getattr(config, "decoder_start_token_id", None))
    forced = {
        int(at): int(token) for at, token in getattr(config, "forced_decoder_ids", None) or () if token is not None
    }
    if whisper:
        prompt = _whisper_prompt(config, prompt, forced)
        forced = {}
    return GenerationSettings(
        eos_token_ids=eos,
        pad_token_id=int(pad),
        prompt_ids=prompt,
        forced_ids=tuple(sorted(forced.items())),
        suppress_tokens=_ids(getattr(config, "suppress_tokens", None)),
        begin_suppress_tokens=_ids(getattr(config, "begin_suppress_tokens", None)),
        repetition_penalty=float(config.repetition_penalty or 1.0),
        max_length=int(config.max_length or DEFAULT_MAX_LENGTH),
        min_length=int(config.min_length or 0),
        bare_answer=whisper,
    )


def _whisper_prompt(config: Any, start: tuple[int, ...], forced: dict[int, int]) -> tuple[int, ...]:
    """Start, language, task and no-timestamps tokens, as far as the model has them."""
    if forced:
        return (*start, *(forced[at] for at in sorted(forced)))
    prompt = list(start)
    if getattr(config, "is_multilingual", False):
        if not config.language:
            raise Unsupported(
                "the ONNX runner does not detect the spoken language",
                remedy="Set `language` in the model's generation_config.json.",
            )
        token = config.language if config.language in config.lang_to_id else f"<|{config.language}|>"
        prompt += [config.lang_to_id[token], config.task_to_id[config.task or "transcribe"]]
    if getattr(config, "no_timestamps_token_id", None) is not None:
        prompt.append(config.no_timestamps_token_id)
    return tuple(prompt)


def _ids(value: Any) -> tuple[int, ...]:
    return () if value is None else (value,) if isinstance(value, int) else tuple(value)


def _export_plain(module: nn.Module, folder: Path, example: Inputs) -> None:
    """Export a module whose forward takes named tensors and gives a dictionary of tensors."""
    import torch

    names = list(example)
    tensors = tuple(torch.from_numpy(example[name]) for name in names)
    with torch.no_grad():
        outputs = module(**dict(zip(names, tensors, strict=True)))
    if not isinstance(outputs, dict):
        raise Unsupported("the ONNX format needs a module that gives a dictionary of named outputs")
    output_names = list(outputs)

    class Positional(torch.nn.Module):
        """The module, called by position: what the tracer can follow."""

        def __init__(self) -> None:
            super().__init__()
            self.wrapped = module

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            given = self.wrapped(**dict(zip(names, values, strict=True)))
            return tuple(given[name] for name in output_names)

    torch.onnx.export(
        Positional().eval(),
        tensors,
        str(folder / "model.onnx"),
        input_names=names,
        output_names=output_names,
        dynamic_axes={name: {0: "batch"} for name in [*names, *output_names]},
        opset_version=OPSET,
        dynamo=False,
    )
