"""Options that the profile of a named device gives where no flag does."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hwsearch.device_profile import DeviceProfile, ProfilingDefaults, find_profile
from hwsearch.progress import say


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Adds to the options that were given the defaults of the device's profile, and says so.

    Args:
        given: Values by name of the option.
    """
    profile = find_profile(given.get("device", ""))
    if profile is None:
        return dict(given)
    taken = {name: value for name, value in _defaults(profile, given) if name not in given}
    if taken:
        say(f"From the profile of {profile.name}: {_flags(taken)}")
    return {**taken, **given}


def _defaults(profile: DeviceProfile, given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What the profile says; precision and threads are for its own runtime alone."""
    values, runtime = asdict(profile.defaults), given.get("runtime", profile.defaults.runtime)
    if runtime != profile.defaults.runtime:
        del values["threads"], values["precision"]
        if setup := profile.setup(runtime):
            values["precision"] = setup.precisions[0]
    return list(values.items())


def as_flags(defaults: ProfilingDefaults) -> str:
    """Returns the flags that the defaults of a profile stand for."""
    return _flags(asdict(defaults))


def _flags(values: Mapping[str, Any]) -> str:
    texts = {
        name.replace("_", "-"): f"{value:g}" if isinstance(value, float) else value
        for name, value in values.items()
        if value
    }
    return " ".join(f"--{flag} {text}" for flag, text in texts.items())
