"""OpenCV, told to leave reporting to us: its own lines would surround every error of ours."""

import os

import cv2

__all__ = ["cv2"]

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET, read at the first video
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
