"""The placeholder starts, says what to use instead, and quits."""

from textual.widgets import Static

from tui.app import Cockpit


async def test_placeholder_names_the_commands_and_quits() -> None:
    app = Cockpit()
    async with app.run_test(size=(80, 24)) as pilot:
        assert "fleet why" in str(app.query_one(Static).render())
        await pilot.press("q")
    assert app.return_code == 0
