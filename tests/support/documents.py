"""What the documents that `--json` prints must look like: every key, and the type of every value."""

from __future__ import annotations

from typing import Any

NUMBER = (float, int)
OPTIONAL = (float, int, type(None))
_EFFECT: dict[str, Any] = {
    "saves_share": float,
    "low": OPTIONAL,
    "high": OPTIONAL,
    "saves_s": float,
    "bound_share": OPTIONAL,
    "bound_low": OPTIONAL,
    "bound_high": OPTIONAL,
    "tokens": NUMBER,
    "untold": int,
    "same_answer": bool,
    "durations_s": [float],
}
SYSTEMS_ABLATE: dict[str, Any] = {
    "schema": str,
    "system": str,
    "speed": float,
    "seeds": [int],
    "set": dict,
    "presets": {"baseline": [float], "optimized": [float]},
    "flags": [
        {
            "flag": str,
            "off": bool,
            "on": bool,
            "claim": (dict, type(None)),
            "verdict": (str, type(None)),
            "alone": _EFFECT,
            "in_all": _EFFECT,
        }
    ],
}
SYSTEMS_RUN: dict[str, Any] = {
    "schema": str,
    "system": str,
    "speed": float,
    "seed": int,
    "base_url": str,
    "runs": [
        {
            "run_id": str,
            "trace_id": str,
            "preset": str,
            "flags": dict,
            "seed": int,
            "duration_s": OPTIONAL,
            "published_s": OPTIONAL,
            "bound_s": OPTIONAL,
            "tokens": {"input": int, "output": int, "total": int},
            "tokens_per_s": OPTIONAL,
            "agents": int,
            "tool_calls": int,
            "llm_calls": int,
            "retries": int,
            "cache": {"lookups": int, "hits": int},
            "first_result_s": OPTIONAL,
            "client_cpu_share": NUMBER,
            "quality": ({"grade": str, "score": NUMBER}, type(None)),
            "answer_sha256": (str, type(None)),
            "error": (str, type(None)),
        }
    ],
}
"""`systems run`."""
_FLAGS = dict
_FIGURES = {"duration_s": OPTIONAL, "tokens": (int, type(None)), "tokens_per_s": OPTIONAL, "grade": (str, type(None))}
SYSTEM: dict[str, Any] = {
    "name": str,
    "title": str,
    "presets": dict,
    "aliases": dict,
    "flags": dict,
    "published": dict,
    "targets": _FIGURES,
}
SYSTEMS: dict[str, Any] = {"schema": str, "systems": [SYSTEM]}
"""`systems` and `systems NAME`."""
_INTERVAL = ({"low": NUMBER, "high": NUMBER}, type(None))
_SIDE = {"n": int, "median": NUMBER}
_MEASURED = {
    "name": str, "unit": str, "a": NUMBER, "b": NUMBER, "difference": NUMBER, "interval": _INTERVAL, "ratio": NUMBER,
    "ratio_interval": _INTERVAL, "p": NUMBER, "detectable": OPTIONAL, "change": str,
}  # fmt: skip
_FIGURE = {"before": NUMBER, "after": NUMBER, "saves": NUMBER, "low": NUMBER, "high": NUMBER}
_CALIBRATION = [{"kind": str, "measured": int, "off": NUMBER, "within": int}]
PREDICT: dict[str, Any] = {
    "schema": str,
    "workflow": str,
    "runs": list,
    "left_out": list,
    "changes": [{"text": str, "kind": str, "spans": int, "runs": int, "names": dict}],
    "median": _FIGURE,
    "p95": (_FIGURE, type(None)),
    "cost": (_FIGURE | {"currency": str}, type(None)),
    "tokens": {"before": NUMBER, "after": NUMBER},
    "warnings": [{"id": str, "text": str, "widens": bool}],
    "explanation": {
        "run_id": str,
        "before_s": NUMBER,
        "after_s": NUMBER,
        "floor_s": NUMBER,
        "path": [{"name": str, "before_s": NUMBER, "after_s": NUMBER}],
    },
    "id": (str, type(None)),
    "calibration": _CALIBRATION,
}
"""`predict --change`."""
_SUGGESTION = {
    "changes": list,
    "why": str,
    "confidence": str,
    "median": _FIGURE,
    "cost": (_FIGURE | {"currency": str}, type(None)),
}
PREDICT_SUGGEST: dict[str, Any] = {
    "schema": str,
    "workflow": str,
    "runs": list,
    "suggestions": [_SUGGESTION],
    "pair": (_SUGGESTION, type(None)),
}
"""`predict --suggest`."""
PREDICT_SCORE: dict[str, Any] = {
    "schema": str,
    "scored": (
        {
            "id": str,
            "changes": list,
            "predicted_s": NUMBER,
            "low_s": NUMBER,
            "high_s": NUMBER,
            "measured_s": NUMBER,
            "runs": int,
            "off": NUMBER,
            "within": bool,
        },
        type(None),
    ),
    "calibration": _CALIBRATION,
}
"""`predict --score`."""
COMPARE: dict[str, Any] = {
    "schema": str,
    "verdict": str,
    "verdict_if_environments_were_the_same": str,
    "metric": str,
    "unit": str,
    "a": _SIDE,
    "b": _SIDE,
    "difference": NUMBER,
    "interval": _INTERVAL,
    "ratio": NUMBER,
    "ratio_interval": _INTERVAL,
    "p": NUMBER,
    "mde": OPTIONAL,
    "paired_by": (str, type(None)),
    "margin": float,
    "runs_needed": (int, type(None)),
    "counts": [{"name": str, "a": list, "b": list, "change": str, "p": OPTIONAL}],
    "shape": {"same": bool, "only_a": list, "only_b": list},
    "success": {"a_failed": int, "a_runs": int, "b_failed": int, "b_runs": int, "p": NUMBER, "change": str},
    "causes": [
        {
            "name": str,
            "seconds": NUMBER,
            "interval": _INTERVAL,
            "p": OPTIONAL,
            "buckets": dict,
            "calls": NUMBER,
            "beside": bool,
        }
    ],
    "metrics": [_MEASURED],
    "environment": [{"name": str, "a": list, "b": list, "differs": bool}],
    "outliers": [{"side": str, "run_id": str, "seconds": NUMBER}],
    "typical": {"a": str, "b": str},
    "notes": list,
    "warnings": list,
}
"""`compare`."""


def differences(document: Any, form: Any, where: str = "document") -> list[str]:
    """Return what of `document` is not as `form` says; nothing where all is."""
    if isinstance(form, dict):
        if not isinstance(document, dict) or list(document) != list(form):
            return [f"{where}: {list(document) if isinstance(document, dict) else document!r}, not {list(form)}"]
        return [found for key in form for found in differences(document[key], form[key], f"{where}.{key}")]
    if isinstance(form, list):
        if not isinstance(document, list):
            return [f"{where}: no list"]
        return [found for i, entry in enumerate(document) for found in differences(entry, form[0], f"{where}[{i}]")]
    if isinstance(form, tuple):
        tried = [differences(document, one, where) for one in form]
        return [] if not all(tried) else tried[0]
    return [] if type(document) is form else [f"{where}: {document!r} is no {form.__name__}"]
