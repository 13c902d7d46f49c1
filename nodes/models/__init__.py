"""The models of this device: finding, describing, fetching and choosing them.

`shelf` is what is here, `fetch` brings more, `catalogue` knows what there is, `describe` looks into a file and
`device` at the machine. Below them: `registry` and `disk` keep, `wheels`, `download`, `sources` and `web` bring,
`probe` and `header` read GGUF. Imports point down that list. The functions `catalogue.catalogue` and
`describe.describe` are not lifted up here, where they would hide their modules.
"""

from nodes.config import models_dir
from nodes.models.catalogue import Catalogue, Entry, Language
from nodes.models.describe import Description
from nodes.models.device import Device, fits, memory_bytes, this_device
from nodes.models.download import Progress
from nodes.models.fetch import Fetched, get
from nodes.models.registry import Model
from nodes.models.shelf import (
    Adoption,
    Removal,
    adopt,
    default_model,
    described,
    find_model,
    installed,
    remove,
    unfinished,
)

__all__ = [
    "Adoption",
    "Catalogue",
    "Description",
    "Device",
    "Entry",
    "Fetched",
    "Language",
    "Model",
    "Progress",
    "Removal",
    "adopt",
    "default_model",
    "described",
    "find_model",
    "fits",
    "get",
    "installed",
    "memory_bytes",
    "models_dir",
    "remove",
    "this_device",
    "unfinished",
]
