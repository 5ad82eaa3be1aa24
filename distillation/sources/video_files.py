"""Frames of video files, or of all those in a folder."""

from pathlib import Path

from distillation.sources.frame_specs import parse_frame_spec
from distillation.sources.video_frames import Episode, VideoFrames

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


def open_videos(source: str) -> VideoFrames:
    """ "video:<file or folder>[?every=n]" -> frames, one file after the other, of constant frame rates.

    Raises:
        ValueError: no such file or folder, one that holds no video, files of several frame rates, a `#camera`, or the
            package av is missing.
    """
    spec = parse_frame_spec(source)
    if spec.camera is not None:
        raise ValueError(f"images: a video has one camera, got #{spec.camera}; give the file itself")
    path = Path(spec.place)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ValueError(f"images: no {', '.join(SUFFIXES)} at {path}")
    measured = [_measure(file) for file in files]
    rates = {rate for _, rate in measured}
    if len(rates) > 1:
        told = ", ".join(f"{rate:g}" for rate in sorted(rates))
        raise ValueError(f"images: the videos at {path} have frame rates of {told} Hz; give them one by one")
    return VideoFrames([episode for episode, _ in measured], rates.pop(), spec.every, str(path))


def _measure(path: Path) -> tuple[Episode, float]:
    """All frames of a file, and how many a second; a clip that was cut out of another may not start at 0 s."""
    try:
        import av
    except ImportError as error:
        raise ValueError(f"images: {path} needs the package av: pip install 'xdistill-encoder[video]'") from error
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 0)
            duration = stream.duration * stream.time_base if stream.duration and stream.time_base else None
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            seconds = float(duration) if duration is not None else (container.duration or 0) / av.time_base - start
            length = stream.frames or round(seconds * rate)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"images: {path} is no video that can be read: {error}") from error
    if not length or not rate:
        raise ValueError(f"images: {path} does not say how many frames it has; remux it, for example with ffmpeg")
    return Episode(path, start, length), rate
