"""The containers that ffmpeg may open, in whichever form it runs."""

DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,wav,w64,mp3,flac,ogg,aac,aiff,caf"
"""Containers that are read. None that names other files: only this list keeps ffmpeg from following playlists."""
