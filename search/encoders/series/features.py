"""The features of motion: what they measure, in which units, from which amount on they are strong, and the words that name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from search.types import IMU_RATE, TRACK_RATE

Strengths: TypeAlias = "dict[str, float]"
"""Features by name, each 0 to 1."""

STANDING = 0.7
"""What is slower stands, in m/s: a receiver that lies still wavers by half of it. A course counts fully from twice as fast on."""

_GRAVITY = 9.80665


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature: ``measures`` says what, in ``unit``. Its strength is .5 at the amount ``half``. ``words`` name it in English, German,
    French and Spanish, separated by commas."""

    measures: str
    unit: str
    half: float
    words: str


FEATURES = MappingProxyType({
    "stopped": Feature(
        f"time slower than {STANDING} m/s", "s", 1.5,
        "stop, stops, stopped, stopping, standing, stand, standstill, standing still, still, halt, halts, halting, waiting, "
        "anhalten, hält, hält an, halten, steht, stehen, stehend, stillstand, arrêt, arrêté, arrête, parada, parado, detenido, detenerse",
    ),
    "turning": Feature(
        "course changed to one side, while moving", "°", 25,
        "turn, turns, turning, bend, bends, curve, curves, corner, kurve, kurven, abbiegen, biegt ab, drehen, dreht, wenden, virage, tourner, tourne, "
        "curva, curvas, girar, gira, giro",
    ),
    "left": Feature(
        "course changed to the left, while moving", "°", 25,
        "left, left turn, left turns, turn left, turns left, turning left, turn to the left, turning to the left, left bend, left curve, "
        "links, linkskurve, links abbiegen, biegt links ab, nach links, abbiegen nach links, gauche, à gauche, tourner à gauche, tourne à gauche, "
        "virage à gauche, izquierda, a la izquierda, girar a la izquierda, gira a la izquierda, curva a la izquierda",
    ),
    "right": Feature(
        "course changed to the right, while moving", "°", 25,
        "right, right turn, right turns, turn right, turns right, turning right, turn to the right, turning to the right, right bend, right curve, "
        "rechts, rechtskurve, rechts abbiegen, biegt rechts ab, nach rechts, abbiegen nach rechts, droite, à droite, tourner à droite, tourne à droite, "
        "virage à droite, derecha, a la derecha, girar a la derecha, gira a la derecha, curva a la derecha",
    ),
    "straight": Feature(
        "share of the time in motion, less what turns", "of 1", 0.5,
        "straight, straight on, straight ahead, geradeaus, gerade, tout droit, recto, todo recto",
    ),
    "climbing": Feature(
        "rate of climb", "m/s", 0.25,
        "climb, climbs, climbing, ascent, ascending, uphill, going up, rising, steigen, steigt, steigung, anstieg, aufstieg, bergauf, aufwärts, "
        "montée, monter, monte, subida, subir, sube, ascenso",
    ),
    "descending": Feature(
        "rate of descent", "m/s", 0.25,
        "descent, descend, descends, descending, downhill, going down, sinking, sinken, sinkt, gefälle, abstieg, bergab, abwärts, "
        "descente, descendre, descend, bajada, bajar, baja, descenso",
    ),
    "accelerating": Feature(
        "speed gained", "m/s²", 0.4,
        "accelerate, accelerates, accelerating, acceleration, speeding up, starting, beschleunigen, beschleunigt, beschleunigung, anfahren, fährt an, "
        "accélérer, accélère, accélération, acelerar, acelera, aceleración",
    ),
    "braking": Feature(
        "speed lost", "m/s²", 0.4,
        "brake, brakes, braking, slowing down, decelerating, bremsen, bremst, freiner, freine, freinage, frenar, frena, frenado",
    ),
    "fast": Feature(
        "speed", "m/s", 12, "fast, quick, at speed, high speed, schnell, rasch, vite, rapide, rápido, rápida",
    ),
    "shaking": Feature(
        "acceleration that comes and goes, of a motion sensor", "m/s²", 2,
        "shake, shakes, shaking, vibration, vibrating, shock, rütteln, schütteln, wackeln, erschütterung, secousse, secousses, sacudida, sacudidas",
    ),
})  # fmt: skip
"""The features by name. Those of tracks follow from velocity; turning follows from a gyroscope as well."""


def of_track(velocity: NDArray[np.float32]) -> Strengths:
    """The features of a window of a track (3, readings), see ``Cut``. It tells no climbing if it knows no heights."""
    east, north, up = velocity.astype(np.float64)
    speed = np.hypot(east, north)
    seconds, moving = speed.shape[0] / TRACK_RATE, speed >= STANDING
    turns = np.angle(np.exp(1j * np.diff(np.arctan2(north, east))))
    sure = np.clip(np.minimum(speed[1:], speed[:-1]) / STANDING - 1, 0, 1)
    turned = float(np.degrees(turns * sure).sum())
    gained = float(speed[-1] - speed[0]) / max(seconds, 1 / TRACK_RATE)
    told = _turning(turned) | _strong(
        stopped=float((~moving).sum()) / TRACK_RATE, accelerating=gained, braking=-gained, fast=float(speed.mean())
    )  # fmt: skip
    told["straight"] = float(moving.mean()) * (1 - told["turning"])
    if np.isfinite(up).all():
        told |= _strong(climbing=float(up.mean()), descending=-float(up.mean()))
    return told


def of_sensor(readings: NDArray[np.float32]) -> Strengths:
    """The features of a window of a motion sensor (6, readings), see ``Cut``. It turns about what is up by its mean acceleration; a sensor
    in free fall, or whose gravity was taken out, tells no turning."""
    acceleration, turning = readings[:3].astype(np.float64), readings[3:].astype(np.float64)
    mean = acceleration.mean(axis=1)
    told = _strong(shaking=float(np.linalg.norm(acceleration - mean[:, None], axis=0).mean()))
    if (length := float(np.linalg.norm(mean))) > _GRAVITY / 2:
        told |= _turning(float(np.degrees((mean / length) @ turning.sum(axis=1) / IMU_RATE)))
    return told


def _turning(degrees: float) -> Strengths:
    """Of a course that changed by so much, to the left if above 0."""
    return _strong(turning=abs(degrees), left=degrees, right=-degrees)


def _strong(**amounts: float) -> Strengths:
    """The strengths of amounts: 0 at and below none, .5 at half, and towards 1 beyond."""
    return {name: 1 - 2 ** -((max(amount, 0.0) / FEATURES[name].half) ** 2) for name, amount in amounts.items()}


def told(strengths: Mapping[str, float], least: float = 0.5) -> list[str]:
    """The names of the features that are at least so strong, the strongest first; "turning" only where neither side is named."""
    found = sorted((name for name, strength in strengths.items() if strength >= least), key=lambda name: -strengths[name])
    return [name for name in found if name != "turning" or not {"left", "right"} & set(found)]
