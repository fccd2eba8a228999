"""The new-search wizard: from a model to a running search, step by step."""

from autocompress.tui.screens.wizard.wizard import WizardScreen

__all__ = ["WizardScreen"]
