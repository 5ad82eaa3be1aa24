"""The command line `xdistill`: one table of commands."""

import importlib
import os
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
COMMANDS = {  # command: (module, what it does)
    "info": ("xdistill_encoder.info", "bundled checkpoints: provenance, scores, parameters, latency on this machine"),
    "export": ("xdistill_encoder.export", "encoder -> ONNX or torch.export, as float32, float16, int8; how exact"),
    "copy": ("xdistill_encoder.copying", "copy a recipe folder here, to own and to change"),
    "demo": ("policy_examples.demo", "bundled encoder -> demonstrations -> policy -> success rate, in one go"),
    "targets": ("distillation.targets", "teacher + images -> cache of embeddings, computed once"),
    "distill": ("distillation.train", "teacher or its cache + images -> encoder checkpoint"),
    "adapt": (
        "distillation.adapt",
        "encoder + a robot's frames -> encoder that knows them, checked for what it forgot",
    ),
    "scorecard": ("distillation.scorecard", "k-NN, linear probe, agreement with the teacher, robustness of an encoder"),
    "publish": ("distillation.publish", "encoder checkpoint -> Hub folder with model card; upload"),
    "release": ("distillation.release", "targets, distill, scorecard, publish for both norms in one command"),
    "demos": ("policy_examples.demos", "a task's expert -> demonstrations"),
    "convert": ("policy_examples.formats.convert", "demonstrations of other projects -> zarr or LeRobotDataset"),
    "finetune": ("policy_examples.train", "encoder + demonstrations -> diffusion policy"),
    "rollout": ("policy_examples.rollout", "policy -> success rate, video"),
    "replay": (
        "policy_examples.replay",
        "policy + recorded episodes -> how far its actions are from the recorded ones",
    ),
    "latency": ("policy_examples.latency", "policy -> ms per action chunk, Hz of control on this machine"),
    "export-policy": ("policy_examples.export", "policy -> ONNX: observation and noise in, next actions out"),
    "benchmark": ("policy_examples.benchmark", "encoders x tasks x seeds -> success rates, one row per run"),
    "table": ("policy_examples.table", "rows of a benchmark -> Markdown and figure with confidence intervals"),
    "explain saliency": ("policy_examples.explain.saliency", "where policies look, on which task objects, as pictures"),
    "explain embedding": ("policy_examples.explain.embedding", "features along demonstrations, by stage of the task"),
    "explain features": ("distillation.explain_features", "feature maps beside the teacher's tokens, neighbours"),
    "explain classes": (
        "distillation.explain_classes",
        "how far encoders and the teacher keep classes apart, as t-SNE",
    ),
    "space": ("distillation.space.serve", "a page in the browser: what an encoder sees in your own image"),
    "report": ("policy_examples.explain.report", "runs -> one HTML page: success, curves, videos, explanations"),
}
GROUPS = {  # title: commands, in the order of `xdistill --help`
    "the encoder": ("info", "export", "copy"),
    "distillation": ("targets", "distill", "scorecard", "publish", "release", "adapt"),
    "policies": ("demos", "convert", "finetune", "rollout", "replay", "latency", "export-policy", "demo"),
    "benchmark": ("benchmark", "table", "report"),
    "what an encoder sees": ("explain saliency", "explain embedding", "explain features", "explain classes", "space"),
}
SIMULATING = ("policy_examples.demo", "policy_examples.demos", "policy_examples.rollout", "policy_examples.benchmark")
"""Commands that play tasks; the others of the recipes need no simulator."""
EXTRAS = {
    "metaworld": "metaworld",
    "mujoco": "metaworld",
    "gymnasium_robotics": "adroit",
    "minari": "adroit",
    "h5py": "hdf5",
    "ray": "sweep",
    "av": "video",
    "gradio": "space",
}
"""Optional dependency that comes with another extra than `recipes` -> that extra."""
EXPORT_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""Optional dependencies of `xdistill export`, which needs no recipe."""


def recipes_folder() -> Path:
    """Where `distillation` and `policy_examples` lie: inside the package in a wheel, beside it in a clone.

    Inside comes first: beside an installed package lies site-packages, which may hold a foreign `distillation`.
    """
    inside = PACKAGE / "recipes"
    return inside if inside.is_dir() else PACKAGE.parent


def usage(names: Iterable[str] | None = None) -> str:
    """The text of `xdistill --help`, or that of some commands."""
    width = max(map(len, COMMANDS))

    def rows(names: Iterable[str]) -> str:
        return "\n".join(f"  {name:{width}}  {COMMANDS[name][1]}" for name in names)

    listed = "\n\n".join(f"{title}:\n{rows(its)}" for title, its in GROUPS.items()) if names is None else rows(names)
    hint = "`xdistill <command> --help` shows the options of a command, `xdistill --version` the version."
    return f"usage: xdistill <command> [options]\n\n{listed}\n\n{hint}"


def main() -> None:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if arguments and f"{name} {arguments[0]}" in COMMANDS:  # a command of two words
        name, arguments = f"{name} {arguments[0]}", arguments[1:]
    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        from xdistill_encoder import __version__

        print(__version__)
        return
    if family := [command for command in COMMANDS if command.startswith(f"{name} ")]:
        if arguments in (["-h"], ["--help"]):
            print(usage(family))
            return
        raise SystemExit(f"xdistill: {name!r} is the first word of {len(family)} commands\n\n{usage(family)}")
    if name not in COMMANDS:
        raise SystemExit(f"xdistill: no command {name!r}\n\n{usage()}")
    sys.argv = [f"xdistill {name}", *arguments]
    run(COMMANDS[name][0])


def run(module: str) -> None:
    """Import a command's module and call its main(); one line of advice where a dependency is missing."""
    sys.path.insert(0, str(recipes_folder()))
    try:
        importlib.import_module(module).main()
    except KeyboardInterrupt:
        print(f"\n{sys.argv[0]}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0].replace("-", "_")  # of a distribution: its module
        if package in ("xdistill_encoder", "distillation", "policy_examples") or find_spec(package):
            raise  # not an extra that is missing: a mistake in the code that imports
        raise SystemExit(
            f"{sys.argv[0]}: the package {package!r} is not installed; "
            f"this command needs: pip install 'xdistill-encoder[{extras_for(module, package)}]'"
        ) from error


def extras_for(module: str, package: str) -> str:
    """The extras that bring a command what it needs, told by the package that it missed first."""
    if package in EXPORT_PACKAGES:
        return "export" if module == "xdistill_encoder.export" else "recipes,export"
    if package in EXTRAS:
        return f"recipes,{EXTRAS[package]}"
    return "recipes,metaworld" if module in SIMULATING else "recipes"


if __name__ == "__main__":
    main()
