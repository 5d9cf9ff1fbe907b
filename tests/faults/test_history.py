"""The checker of histories finds what it is there to find, and nothing else."""

from dataclasses import dataclass

from tests.faults.history import FOREVER_MS, Findings, Sent, StoredHold, check

CAPS = {"uses": 2}
ONE = (("uses", 1),)


@dataclass
class Story:
    """Holds of one unit each; told 5 ms after they were taken."""

    sent: list[Sent]
    holds: list[StoredHold]

    def hold(self, name: str, taken_ms: int, ended_ms: int = FOREVER_MS, *, state: str = "used") -> None:
        self.holds.append(StoredHold(name, f"q-{name}", f"o-{name}", state, taken_ms, ended_ms, ONE))
        self.tell("hold", name, taken_ms - 5, taken_ms + 5)

    def tell(self, kind: str, name: str, sent_ms: int, told_ms: int, *, body: bytes = b"held") -> None:
        self.sent.append(
            Sent(kind, f"q-{name}", f"o-{name}", name, ONE, None, sent_ms, told_ms, 201 if kind == "hold" else 200, body, "")
        )

    def refuse(self, sent_ms: int, told_ms: int, *, key: str | None = None, body: bytes = b"") -> None:
        self.sent.append(Sent("hold", "q", "o", None, ONE, key, sent_ms, told_ms, 409, body, "limit_reached"))

    def found(self) -> Findings:
        return check(self.sent, self.holds, CAPS)


def full_from_100_to_200() -> Story:
    story = Story([], [])
    story.hold("a", 50)
    story.hold("b", 100, 200, state="released")
    return story


def test_what_is_given_back_and_taken_in_one_instant_is_within_the_cap() -> None:
    story = full_from_100_to_200()
    story.hold("c", 200)

    assert story.found() == Findings([], [], [], [])


def test_holds_above_the_cap_are_found() -> None:
    story = full_from_100_to_200()
    story.hold("c", 150)

    found = story.found()
    assert len(found.above_cap) == 2  # by what is stored, and by what was told at 155


def test_acknowledged_above_the_cap_is_found_although_it_is_not_stored() -> None:
    story = full_from_100_to_200()
    story.tell("hold", "lost", 150, 160)

    found = story.found()
    assert len(found.above_cap) == 1
    assert len(found.not_stored) == 1


def test_refusal_needs_an_instant_at_which_too_little_was_left() -> None:
    story = full_from_100_to_200()
    story.refuse(90, 100)
    story.refuse(195, 300)
    story.refuse(200, 210)
    assert story.found().is_kept

    story.refuse(90, 99)
    story.refuse(201, 210)
    assert len(story.found().false_refusals) == 2


def test_reply_that_changes_is_found() -> None:
    story = full_from_100_to_200()
    story.tell("hold", "a", 300, 310, body=b"held, once more")

    assert len(story.found().different_replies) == 1


def test_refusal_by_a_key_that_changes_is_found() -> None:
    story = full_from_100_to_200()
    story.refuse(110, 120, key="k", body=b"none left")
    story.refuse(110, 300, key="k", body=b"none left, still")

    assert story.found().different_replies == ["key k was told b'none left', then b'none left, still'"]


def test_acknowledged_confirm_of_a_hold_that_was_released_is_found() -> None:
    story = full_from_100_to_200()
    story.tell("confirm", "b", 150, 160)

    assert len(story.found().not_stored) == 1
