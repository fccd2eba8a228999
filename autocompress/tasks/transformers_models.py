"""Loading and rebuilding models through transformers, for the tasks that do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocompress.errors import ModelError
from autocompress.tasks.model_folder import model_folder, read_config, read_settings, require_weights

if TYPE_CHECKING:
    from torch import nn

    from autocompress.spec import ModelSpec


def load_pretrained(model: ModelSpec, auto_class: str) -> nn.Module:
    """The stored model in evaluation mode on the CPU, in the precision it is stored in.

    Args:
        model: where it lies and what may be loaded.
        auto_class: the class of transformers that fits the task, such as ``AutoModelForCTC``.

    Raises:
        ModelError: not found, not allowed, damaged, of another kind, or with weights missing.
    """
    import transformers
    from safetensors import SafetensorError

    read_config(model)
    folder = require_weights(model)
    loader = getattr(transformers, auto_class)
    try:
        module, loading = loader.from_pretrained(
            folder,
            dtype="auto",
            use_safetensors=None if model.allow_pickle else True,
            trust_remote_code=model.trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError, SafetensorError) as problem:
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise ModelError(f"cannot be loaded as {auto_class}: {reason}", where=model.path) from problem
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ModelError(
            f"{len(missing)} weights are missing, for example {missing[0]}",
            where=model.path,
            remedy="The model was saved before its head was trained, or for another task.",
        )
    trained: nn.Module = module.eval()
    return trained


def rebuild_pretrained(model: ModelSpec, auto_class: str, overrides: Mapping[str, int]) -> nn.Module:
    """A module of the stored architecture with changed configuration fields and arbitrary weights; reads no weights.

    Raises:
        ModelError: the configuration has no such field.
    """
    import transformers

    read_config(model)
    folder = model_folder(model)
    config = transformers.AutoConfig.from_pretrained(
        folder, trust_remote_code=model.trust_remote_code, local_files_only=True
    )
    for name, value in overrides.items():
        if not hasattr(config, name):
            raise ModelError(f"the configuration has no field {name!r}", where=model.path)
        setattr(config, name, value)
    module = getattr(transformers, auto_class).from_config(config, trust_remote_code=model.trust_remote_code)
    if module.can_generate() and (folder / "generation_config.json").is_file():
        module.generation_config = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
    rebuilt: nn.Module = module.eval()
    return rebuilt


def load_tokenizer(model: ModelSpec) -> Any:
    """The model's tokenizer; loaded once per process.

    Raises:
        ModelError: there is none.
    """
    return _preprocessor(model_folder(model), "AutoTokenizer", model.trust_remote_code)


def load_feature_extractor(model: ModelSpec) -> Any:
    """The model's audio feature extractor; loaded once per process.

    Raises:
        ModelError: there is none.
    """
    return _preprocessor(model_folder(model), "AutoFeatureExtractor", model.trust_remote_code)


def load_image_processor(model: ModelSpec) -> Any:
    """The model's image processor in its form without torchvision; loaded once per process.

    Raises:
        ModelError: there is none, or it needs torchvision.
    """
    import transformers

    settings = read_settings(model, "preprocessor_config.json")
    written = str(settings.get("image_processor_type") or settings.get("feature_extractor_type") or "")
    name = written.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    # Transformers 5 keeps the form without torchvision under another name.
    found = next((kind for kind in (f"{name}Pil", name) if name and hasattr(transformers, kind)), None)
    if found is None:
        raise ModelError(
            f"has no usable image processor (image_processor_type: {written or 'not given'})",
            where=f"{model.path}/preprocessor_config.json",
            remedy="Save the model's image processor beside it.",
        )
    return _preprocessor(model_folder(model), found, trust_remote_code=False)


@cache
def _preprocessor(folder: Path, kind: str, trust_remote_code: bool) -> Any:
    import transformers

    trust = {"trust_remote_code": True} if trust_remote_code else {}
    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True, **trust)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as problem:
        reason = next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
        raise ModelError(
            f"cannot be loaded as {kind}: {reason}", where=str(folder), remedy="Save it beside the model."
        ) from problem


def forward_names(model: ModelSpec) -> frozenset[str] | None:
    """Names of the inputs that the model's forward pass takes; None for a class that transformers does not have."""
    import inspect

    import transformers

    architectures = read_config(model).get("architectures") or [""]
    kind = getattr(transformers, architectures[0], None)
    return frozenset(inspect.signature(kind.forward).parameters) if kind is not None else None
