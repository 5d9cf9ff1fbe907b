"""One set of memos, as a process has it, for tests that price with what is remembered."""

from app.quotes.memo import Memos

MEMOS = Memos()
memo_of, hand_over, price_and_encode = MEMOS.of, MEMOS.hand_over, MEMOS.price
