"""Shows what a run was asked for, by which code, on which versions."""

from policy_examples.explain.reporting.elements import Html, code, facts, folded, html, join, table
from policy_examples.explain.reporting.facts import MAIN_PACKAGES, flatten, settings_of
from policy_examples.explain.reporting.runs import Run


def provenance_part(run: Run) -> Html:
    """Command and commit in sight; settings, demonstrations and packages to open."""
    command = run.described.get("command") or run.settings.get("command")
    commit = run.settings.get("commit") or run.described.get("commit")
    pairs: list[tuple[object, object]] = [("folder", code(run.folder))]
    if command:
        pairs.append(("command", code(command)))
    if commit:
        dirty = " (tracked files differed from this commit)" if str(commit).endswith("-dirty") else ""
        pairs.append(("commit", join([code(commit), dirty], "")))
    elif run.settings:
        pairs.append(("commit", "unknown: the code lay in no checkout"))
    pairs += [(name, run.described[name]) for name in ("machine", "python") if name in run.described]
    if policy := run.described.get("policy"):
        pairs.append(("policy's fingerprint", code(policy)))
    return join([facts(pairs, long=True), _settings(run), _demonstrations(run), _packages(run)])


def _settings(run: Run) -> Html:
    settings = settings_of(run)
    if not settings:
        return html("")
    title = f"All {len(settings)} settings"
    return folded(title, table(f"Settings of {run.name}", ("setting", "value"), _codes(settings), numbers=False))


def _demonstrations(run: Run) -> Html:
    origin = flatten(run.origin)
    if not origin:
        return html("")
    rows = table(f"What the policy of {run.name} says of its origin", ("fact", "value"), _codes(origin), numbers=False)
    return folded("Demonstrations and training, as the policy's folder says it", rows)


def _packages(run: Run) -> Html:
    packages = run.settings.get("packages") or run.described.get("packages") or {}
    if not packages:
        return html("")
    shown = {name: packages[name] for name in MAIN_PACKAGES if name in packages} or packages
    others = len(packages) - len(shown)
    caption = f"Packages of {run.name}" + (f"; {others} more in its folder" if others else "")
    return folded(
        f"Versions of {len(shown)} packages", table(caption, ("package", "version"), _codes(shown), numbers=False)
    )


def _codes(values: dict[str, str]) -> list[tuple[object, object]]:
    return [(name, code(value)) for name, value in values.items()]
