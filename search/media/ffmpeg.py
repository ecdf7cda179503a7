"""What ffmpeg may open and decode, as a library and as a program, and which versions may run."""

from __future__ import annotations

import importlib.util
import re

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,yuv4mpegpipe,flv,asf,mxf,gxf,dv,"
    "wav,w64,mp3,flac,ogg,aac,aiff,caf,ac3,eac3,dts,au,wv,ape,tta,amr"
)
"""Containers that are read. None that names other files: only this list keeps ffmpeg from following playlists."""

PROTOCOL = "fd"
"""The only allowed protocol: an already open descriptor. With ``file``, a file could still make ffmpeg open others."""

OLDEST = (8, 0)
"""Older versions have known holes in decoders that are used here, and get no more fixes."""

_PICTURES = (
    "h264 hevc vvc vp6 vp6a vp6f vp8 vp9 libvpx libvpx-vp9 av1 libdav1d libaom-av1 mpeg1video mpeg2video mpegvideo mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4 "
    "h261 h263 h263i h263p flv wmv1 wmv2 wmv3 vc1 theora svq1 svq3 mjpeg mjpegb ljpeg prores dnxhd dvvideo huffyuv ffvhuff ffv1 utvideo lagarith "
    "magicyuv rawvideo v210 v410 yuv4 r210 cinepak indeo2 indeo3 indeo4 indeo5 msvideo1 msrle qtrle rpza smc 8bps rv10 rv20 cfhd hap hqx jpeg2000 "
    "libopenjpeg png apng gif webp bmp tiff zlib zmbv tscc flashsv flashsv2 cscd fraps snow dirac"
)
_SOUNDS = (
    "aac aac_fixed aac_latm mp1 mp1float mp2 mp2float mp3 mp3float ac3 ac3_fixed eac3 dca truehd mlp flac alac vorbis libvorbis opus libopus "
    "wmav1 wmav2 wmapro wmavoice wmalossless amrnb amrwb libopencore_amrnb libopencore_amrwb gsm gsm_ms libgsm libgsm_ms speex libspeex "
    "qdm2 qdmc nellymoser mace3 mace6 g722 g723_1 g726 g726le g729 tta wavpack ape truespeech cook"
)

_RAW_SOUNDS = (
    "alaw mulaw vidc s8 s8_planar u8 s16le s16be s16le_planar s16be_planar u16le u16be s24le s24be s24le_planar s24daud u24le u24be s32le s32be "
    "s32le_planar u32le u32be s64le s64be f16le f24le f32le f32be f64le f64be bluray dvd lxf"
)
_DIFFERENCES = "ima_wav ima_qt ima_smjpeg ima_amv ms swf yamaha g722 g726 g726le ct sbpro_2 sbpro_3 sbpro_4"
DECODERS = ",".join(
    (
        *_PICTURES.split(),
        *_SOUNDS.split(),
        *(f"pcm_{name}" for name in _RAW_SOUNDS.split()),
        *(f"adpcm_{name}" for name in _DIFFERENCES.split()),
    )
)
"""Codecs that are decoded: those of cameras, phones and common programs. Most holes are found in the five hundred others."""


def versions() -> dict[str, str]:
    """The version of each ffmpeg that is used: of the libraries in PyAV, and of the program that imageio-ffmpeg ships."""
    import av

    found = {"PyAV": str(av.ffmpeg_version_info)}
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        found["imageio-ffmpeg"] = imageio_ffmpeg.get_ffmpeg_version()
    return found


def outdated(version: str) -> bool:
    """Whether a version, such as ``8.1.2`` or ``n9.0.2-17-g2a571b6068``, is older than ``OLDEST``; one without numbers counts as new."""
    numbers = re.match(r"n?(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < OLDEST
