"""What axe-core finds wrong with the screen that a browser shows."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from e2e.browser import Browser

_GRAVE = ("serious", "critical")
_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] })
  .then(({ violations }) => done(violations), (error) => done(String(error)));
"""


def grave_issues(browser: Browser) -> list[str]:
    """Each serious or critical issue: rule, what to do, and the first elements concerned."""
    if not browser.driver.execute_script("return Boolean(window.axe)"):
        browser.driver.execute_script(_axe())
    violations = browser.driver.execute_async_script(_RUN)
    assert isinstance(violations, list), violations
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(f"{node['html'][:200]} {node['failureSummary']}" for node in one["nodes"][:3])
        for one in violations
        if one["impact"] in _GRAVE
    ]


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
