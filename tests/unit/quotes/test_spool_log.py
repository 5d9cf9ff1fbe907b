"""The local log keeps what it acknowledged over crashes between any two calls, full disks and failing syncs."""

import hashlib
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom
from typing import Final, NamedTuple

import pytest
from asyncpg.pgproto.pgproto import UUID

from app.quotes.decision import Decision
from app.quotes.spool_log import MAGIC, Slot, SpoolFull, SpoolLog, record_of, scan, take_abandoned_slot, take_slot
from tests.unit.quotes.simulated_disk import Crashed, ForgetfulDisk, NamelessDisk, SimulatedDisk

_SEED: Final = int(os.environ.get("FAULT_SEED", str(SystemRandom().getrandbits(32))))
_SCENARIOS: Final = 1_000
_FOLDER: Final = Path("spool/0")
_LIMIT: Final = 20_000


def decision(number: int, *, octets: int = 50) -> Decision:
    """A decision that nothing but its number tells from others."""
    digest = hashlib.sha256(str(number).encode()).digest()
    issued_at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(milliseconds=number)
    customer = None if number % 3 else f"c-{number}"
    reply = digest * (octets // 32 + 1)
    return Decision(
        issued_at, UUID(digest[:16]), 7, "USD", None, customer, ["TEN"] * (number % 2), 12, 2, 10, 1, "quote", b"{}", reply
    )


class Found(NamedTuple):
    """What a scenario came to: acknowledged decisions that are gone, and records that nobody wrote."""

    acknowledged: int
    lost: int
    foreign: int


def live(seed: int, kind: type[SimulatedDisk]) -> Found:
    """Append and drain at random through several crashes; after each one the next process takes the folder."""
    random = Random(seed)
    disk: SimulatedDisk = kind(random)
    acknowledged: dict[bytes, Decision] = {}
    offered: dict[bytes, Decision] = {}
    drained: set[bytes] = set()
    lost = foreign = number = 0
    for _ in range(3):
        disk.room_octets = random.choice((None, random.randint(1_000, 9_000)))
        disk.sync_failure_rate = random.choice((0.0, 0.2))
        disk.steps_left = disk.steps + random.randint(1, 60)
        log = SpoolLog(_FOLDER, octets_max=_LIMIT, file_octets=random.choice((600, 2_000)), disk=disk)
        try:
            log.open()
            while True:
                if random.random() < 0.75:
                    batch = [decision(number + n, octets=random.randint(1, 300)) for n in range(random.randint(1, 5))]
                    number += len(batch)
                    offered |= {one.id.bytes: one for one in batch}
                    try:
                        log.append(batch)
                    except (OSError, SpoolFull):
                        continue
                    acknowledged |= {one.id.bytes: one for one in batch}
                else:
                    for file in log.seal():
                        found, is_damaged = log.decisions(file)
                        drained |= {one.id.bytes for one in found}
                        log.remove(file, is_damaged=is_damaged)
        except Crashed:
            pass
        disk = disk.after_crash()
        after = SpoolLog(_FOLDER, octets_max=_LIMIT, disk=disk)
        after.open()
        waiting = {one.id.bytes: one for file in after.seal() for one in after.decisions(file)[0]}
        foreign += sum(offered.get(key) != one for key, one in waiting.items())
        lost += sum(key not in drained and waiting.get(key) != one for key, one in acknowledged.items())
    return Found(len(acknowledged), lost, foreign)


def test_what_was_acknowledged_outlives_crashes_full_disks_and_failing_syncs() -> None:
    found = [live(_SEED + number, SimulatedDisk) for number in range(_SCENARIOS)]

    acknowledged = sum(each.acknowledged for each in found)
    print(
        f"figure: R1: local log: {3 * _SCENARIOS} crashes between two calls of a simulated disk, {acknowledged} acknowledged, 0 lost,"
        f" seed {_SEED}"
    )
    assert acknowledged > _SCENARIOS
    assert [(number, each) for number, each in enumerate(found) if each.lost or each.foreign] == []


@pytest.mark.parametrize("kind", [ForgetfulDisk, NamelessDisk])
def test_a_log_that_leaves_out_a_sync_is_found(kind: type[SimulatedDisk]) -> None:
    lost = sum(live(_SEED + number, kind).lost for number in range(50))

    print(f"figure: R1 planted: {kind.__name__}: {lost} lost in 150 crashes, seed {_SEED}")
    assert lost > 0


def test_a_decision_comes_back_as_it_was(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, octets_max=_LIMIT)
    log.open()
    log.append([decision(1), decision(2)])
    log.append([decision(3)])

    [file] = log.seal()
    assert log.decisions(file) == ([decision(1), decision(2), decision(3)], False)
    assert log.find(decision(2).id.bytes) == decision(2)
    assert log.find(uuid.uuid4().bytes) is None
    assert (log.waiting, log.octets) == (3, file.path.stat().st_size)
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_torn_tail_is_left_out_and_told(tmp_path: Path) -> None:
    whole, torn = record_of(decision(1)), record_of(decision(2))
    (tmp_path / "00000001.log").write_bytes(MAGIC + whole + torn[:-1])
    log = SpoolLog(tmp_path, octets_max=_LIMIT)

    notes = log.open()

    [file] = log.seal()
    assert log.decisions(file) == ([decision(1)], False)
    assert notes == [f"00000001.log: {len(torn) - 1} octets at the end are of a batch that was never acknowledged"]


def test_damage_between_records_costs_that_record_alone_and_the_file_is_kept(tmp_path: Path) -> None:
    records = [record_of(decision(number)) for number in range(3)]
    content = bytearray(MAGIC + b"".join(records))
    content[len(MAGIC) + len(records[0]) + 40] ^= 1
    (tmp_path / "00000004.log").write_bytes(content)
    log = SpoolLog(tmp_path, octets_max=_LIMIT)
    log.open()

    [file] = log.seal()
    found, is_damaged = log.decisions(file)
    log.remove(file, is_damaged=is_damaged)

    assert found == [decision(0), decision(2)]
    assert not log.has_files
    assert (tmp_path / "00000004.damaged").read_bytes() == content


def test_every_cut_of_a_file_gives_the_records_before_it() -> None:
    records = [record_of(decision(number)) for number in range(3)]
    content = MAGIC + b"".join(records)
    ends = [len(MAGIC) + sum(map(len, records[:number])) for number in range(4)]

    for size in range(len(content) + 1):
        assert len(scan(content[:size]).records) == sum(end <= size for end in ends[1:])


def test_a_full_spool_refuses_and_goes_on_when_it_has_been_drained(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, octets_max=1_000)
    log.open()
    log.append([decision(1, octets=500)])
    with pytest.raises(SpoolFull):
        log.append([decision(2, octets=500)])

    for file in log.seal():
        log.remove(file, is_damaged=False)
    log.append([decision(2, octets=500)])

    assert log.waiting == 1


def test_files_are_rotated_and_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    first = SpoolLog(tmp_path, octets_max=_LIMIT, file_octets=100)
    first.open()
    first.append([decision(1)])
    first.append([decision(2)])
    second = SpoolLog(tmp_path, octets_max=_LIMIT)
    second.open()
    second.append([decision(3)])

    assert [file.path.name for file in second.seal()] == ["00000001.log", "00000002.log", "00000003.log"]
    assert second.waiting == 3


def test_a_decision_set_aside_twice_is_there_once(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, octets_max=_LIMIT)
    log.open()
    log.set_aside(decision(1))
    log.set_aside(decision(1))
    again = SpoolLog(tmp_path, octets_max=_LIMIT)
    again.open()

    assert (log.set_aside_count, again.set_aside_count, again.has_files) == (1, 1, False)


def test_no_two_processes_share_a_slot_and_one_that_is_left_is_found(tmp_path: Path) -> None:
    first, second = take_slot(tmp_path), take_slot(tmp_path)
    (first.folder / "00000001.log").write_bytes(MAGIC)

    held = take_abandoned_slot(tmp_path, but=())
    first.release()
    left = take_abandoned_slot(tmp_path, but=())

    assert (first.folder.name, second.folder.name, held) == ("0", "1", None)
    assert left is not None
    assert left.folder == first.folder
    with pytest.raises(BlockingIOError):
        Slot(left.folder)
    left.release()
    second.release()
