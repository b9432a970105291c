"""How each status of a cell looks: a sign besides the colour, so that none depends on colour alone and none looks like zero."""

from __future__ import annotations

#: Status of reports.rows.STATUSES -> sign. The class in page.css is the status with "-" for a blank.
SIGNS = {
    "error": "!",
    "fail": "\u2715",
    "not comparable": "\u2260",
    "not run": "\u2026",
    "waived": "~",
    "absent": "\u25cb",
    "refused": "\u2298",
    "pass": "\u2713",
    "emulated": "\u2248",
    "rejected": "\u2713",
}
MEANINGS = {
    "error": "could not be judged: something went wrong",
    "fail": "a limit is broken",
    "not comparable": "measured under conditions that make its numbers incomparable",
    "not run": "planned, and not measured",
    "waived": "fails, and a waiver covers it",
    "absent": "its optional device is not connected",
    "refused": "the recipe cannot take the model",
    "pass": "may ship",
    "emulated": "only times or memory were asked for, which an emulation has not",
    "rejected": "a canary that the gate rejected, as it must",
}
