"""What the gate says: OpenFeature flags from a file, an OFREP service or flagd.

Runs in the gate's own unprivileged process; nothing here is trusted beyond two values.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - host names need it when privileges are gone
import importlib.util
import json
import os
import ssl
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    ErrorCode,
    FlagNotFoundError,
    OpenFeatureError,
    ParseError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import (
    FlagEvaluationDetails,
    FlagResolutionDetails,
    FlagValueType,
    Reason,
)
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata

from shadow_agent.config.gate import Gate
from shadow_agent.config.values import unsaid
from shadow_agent.errors import UsageError

_FILE_BYTES: Final = 1 << 20
_PACKAGES: Final = {"ofrep": "ofrep", "flagd": "flagd", "flagds": "flagd"}
T = TypeVar("T")

# In the gate's own process: called after its privileges are gone, and before.
Connect: TypeAlias = Callable[[], FeatureProvider]
Load: TypeAlias = Callable[[], Connect]


class Opinion(NamedTuple):
    """What the gate wants."""

    enabled: bool
    sample: float  # 0 to 1


class GateSilent(Exception):
    """It could not be asked, or its answer means nothing; one line says why."""


class FileProvider(AbstractProvider):
    """Flags in the JSON format of flagd, without targeting: each has a default variant."""

    def __init__(self, path: Path) -> None:
        """``path`` is read at each look: editors and configuration management replace files."""
        super().__init__()
        self._path = path

    def get_metadata(self) -> Metadata:
        """Its name."""
        return Metadata(name="file")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """A flag that is true or false."""
        del default_value, evaluation_context
        return self._resolve(flag_key, bool)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A whole number."""
        del default_value, evaluation_context
        return self._resolve(flag_key, int)

    def resolve_float_details(
        self, flag_key: str, default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[float]:  # fmt: skip
        """A number that is not whole."""
        del default_value, evaluation_context
        return self._resolve(flag_key, float)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A text; the gate has none."""
        del default_value, evaluation_context
        return self._resolve(flag_key, str)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """The gate has none."""
        del default_value, evaluation_context
        raise TypeMismatchError(f"{flag_key}: objects are not read from a file")

    def _resolve(self, name: str, kind: type[T]) -> FlagResolutionDetails[T]:
        flag = self._flags().get(name)
        if flag is None:
            raise FlagNotFoundError(f"{name} is not in {self._path}")
        if not isinstance(flag, dict) or not isinstance(flag.get("variants"), dict):
            raise ParseError(f"{name} has no variants")
        if flag.get("targeting"):
            raise ParseError(f"{name} has targeting, which a file cannot decide: ask flagd instead")
        if flag.get("state", "ENABLED") != "ENABLED":
            raise FlagNotFoundError(f"{name} is disabled in {self._path}")
        variant = flag.get("defaultVariant")
        value = flag["variants"].get(variant) if isinstance(variant, str) else None
        if type(value) is not kind:
            raise TypeMismatchError(f"{name} is {value!r}, not of type {kind.__name__}")
        return FlagResolutionDetails(value=value, variant=variant, reason=Reason.STATIC)

    def _flags(self) -> dict[str, Any]:
        try:
            # a pipe would keep us waiting for who writes it
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as source:
                if stat.S_ISFIFO(os.fstat(source.fileno()).st_mode):
                    raise ParseError(f"{self._path}: a pipe, not a file")
                data = source.read(_FILE_BYTES + 1)
            tree = json.loads(data) if len(data) <= _FILE_BYTES else None
        except OSError as error:
            raise ParseError(f"{self._path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ParseError(f"{self._path}: not JSON") from error
        flags = tree.get("flags") if isinstance(tree, dict) else None
        if not isinstance(flags, dict):
            raise ParseError(f'{self._path}: no object {{"flags": {{...}}}} of at most 1 MiB')
        return flags


def find_provider(gate: Gate) -> Load:
    """The configured provider, in steps: what can be known now, imports, connections.

    Raises UsageError when its package is not installed, or when a file cannot be used now.
    """
    kind, where = gate.provider.kind, gate.provider.where
    if kind == "file":
        found = FileProvider(Path(where))
        try:
            found.resolve_boolean_details(gate.enabled, default_value=False)
        except OpenFeatureError as error:
            raise UsageError(
                f"gate.provider {gate.provider}: {error.error_message}",
                'write {"flags": {"NAME": {"variants": {"on": true, "off": false}, '
                '"defaultVariant": "on"}}}',
            ) from error
        return lambda: lambda: found
    package = _PACKAGES[kind]
    if not _installed(f"openfeature.contrib.provider.{package}"):
        raise UsageError(
            f"gate.provider {gate.provider}: its package is not installed",
            f"pip install openfeature-provider-{package}, or ask flagd by ofrep:http://HOST:8016",
        )
    if kind == "ofrep":
        from shadow_agent.daemon import ofrep  # noqa: PLC0415 - only its users need its library

        return lambda: lambda: ofrep.make(where, gate.timeout_s)
    trusted = _certificates(gate.ca_file)

    def load() -> Connect:
        # It maps a gigabyte, which no other process of ours should carry.
        from shadow_agent.daemon import flagd  # noqa: PLC0415

        return lambda: flagd.make(where, gate.timeout_s, tls=kind == "flagds", trusted=trusted)

    return load


def _certificates(path: Path | None) -> bytes | None:
    """Whose certificates a service may have; None: as the library does. Raises UsageError."""
    if path is None:
        return None
    try:
        data = path.read_bytes()
        ssl.create_default_context(cadata=data.decode("ascii"))
    except (OSError, ValueError) as error:  # what OpenSSL refuses is an OSError
        why = error.strerror if isinstance(error, OSError) else "not PEM"
        raise UsageError(
            f"gate.ca-file {path}: {why}", "give a file of certificates in PEM"
        ) from error
    return data


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # not even the package around it
        return False


class Flags:
    """The gate's two flags, by OpenFeature."""

    def __init__(self, gate: Gate, target: str, provider: FeatureProvider) -> None:
        """``target`` is what the gate may decide by: targeting key and attribute."""
        self._gate = gate
        self._context = EvaluationContext(target, {"target": target})
        # one that does not answer yet is asked all the same
        with contextlib.suppress(OpenFeatureError):
            api.set_provider_and_wait(provider)
        self._client: OpenFeatureClient = api.get_client()

    def ask(self) -> Opinion:
        """What it says now. Raises GateSilent."""
        enabled = self._known(
            self._client.get_boolean_details(self._gate.enabled, False, self._context)
        )
        return Opinion(enabled, self._sample())

    def _sample(self) -> float:
        name, client = self._gate.sample, self._client
        found: FlagEvaluationDetails[Any] = client.get_float_details(name, 1.0, self._context)
        if found.error_code == ErrorCode.TYPE_MISMATCH:  # Go and JavaScript write 1.0 as 1
            found = client.get_integer_details(name, 1, self._context)
        if found.error_code == ErrorCode.FLAG_NOT_FOUND:
            return 1.0
        value = float(self._known(found))
        if not 0 <= value <= 1:
            raise GateSilent(f"{name} is {value:g}, not 0 to 1")
        return value

    def _known(self, found: FlagEvaluationDetails[T]) -> T:
        if found.error_code is not None:
            text = unsaid(" ".join(str(found.error_message or found.error_code).split()))[:200]
            raise GateSilent(text if text.isprintable() else ascii(text))
        return found.value
