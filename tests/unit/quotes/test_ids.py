import uuid

from app.quotes.ids import IssueClock, QuoteIds, id_in_batch, id_of_key, issued_ms_of, parse_uuid


def test_ids_are_version_7_carry_their_instant_and_rise() -> None:
    ids = QuoteIds()

    made = [*ids.take(1_764_000_000_000, 1000), *ids.take(1_764_000_000_000, 1000), *ids.take(1_764_000_000_001, 1000)]

    assert [each.version for each in made] == [7] * 3000
    assert {each.variant for each in made} == {uuid.RFC_4122}
    assert [issued_ms_of(each) for each in made] == [1_764_000_000_000] * 2000 + [1_764_000_000_001] * 1000
    assert [str(each) for each in made] == sorted({str(each) for each in made})


def test_two_processes_do_not_make_the_same_ids() -> None:
    assert not set(QuoteIds().take(1_764_000_000_000, 500)) & set(QuoteIds().take(1_764_000_000_000, 500))


def test_clock_stands_still_over_a_small_step_back_and_follows_a_large_one() -> None:
    instants = iter((10_000, 9_500, 10_001, 9_001, 9_000, 5_000))
    clock = IssueClock(lambda: next(instants))

    # 9 500 and 9 001 are less than, or just, a second behind; 5 000 is a clock that was set.
    assert [clock.read_ms() for _ in range(6)] == [10_000, 10_000, 10_001, 10_001, 9_000, 5_000]


def test_a_uuid_as_key_is_the_id_whatever_its_case() -> None:
    text = "0197C0DE-0000-4000-8000-00000000ABCD"

    assert str(id_of_key(text, caller="a")) == text.lower()


def test_other_keys_make_an_id_of_their_text_and_caller() -> None:
    order = id_of_key("order-1", caller="web")

    assert order == id_of_key("order-1", caller="web")
    assert order != id_of_key("order-1", caller="till")
    assert order != id_of_key("order-2", caller="web")
    assert order.version == 8
    assert issued_ms_of(order) is None


def test_quotes_of_a_batch_have_ids_of_their_own() -> None:
    batch_id = id_of_key("nightly", caller="web")

    assert len({id_in_batch(batch_id, position) for position in range(1000)} | {batch_id}) == 1001


def test_only_the_usual_form_is_a_uuid() -> None:
    assert parse_uuid("{0197c0de-0000-4000-8000-00000000abcd}") is None
    assert parse_uuid("0197c0de00004000800000000000abcd") is None
    assert parse_uuid("0197c0de-0000-4000-8000-00000000abcd\n") is None
