"""What the camera apps share. A frame's way: `sources` → `analysis` (of which `networks`, `tracking`, `poses` and `activities`) → `rules` → events → `recording`, `notify`, `cloud`;
`watching` keeps all of that going, `showing` and `pages` let people look, `explain` says why."""
