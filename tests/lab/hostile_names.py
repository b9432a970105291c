"""Names that a shell would love to interpret; each would leave something called ``pwned`` behind, or lose a part."""

HOSTILE_NAMES = (
    *("a b", "it's", 'say "x"', "a;touch pwned", "$(touch pwned)", "`touch pwned`", "a&&touch pwned"),
    *("a\nb\n", "-rf", "a,b", "ü*?[x]~", "a\\", "%s\\n", "a>pwned", "${HOME}", "#"),
)
