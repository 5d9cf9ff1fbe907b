"""The price that is best under a demand curve, and the gain at any price. All prices are e4, exact until the end.

Logit is worked in decimals of 60 digits, far beyond float64, so that its rounding to e4 is the true one.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction

DIGITS = 60
CONTEXT = Context(prec=DIGITS, Emin=-999_999_999_999, Emax=999_999_999_999)


@dataclass(frozen=True)
class Demand:
    """A strategy's demand: form, elasticity, reference price, reference share (0 to 1), index, and unit cost."""

    form: str
    elasticity: Fraction
    reference_e4: Fraction
    share: Fraction
    index: Fraction
    cost_e4: Fraction

    def best_price(self) -> Fraction:
        """Return the price with the highest gain; of `iso_elastic` only where elasticity < -1 and cost > 0."""
        if self.form == "iso_elastic":
            return self.cost_e4 * self.elasticity / (1 + self.elasticity)
        if self.form == "linear":
            return (self.cost_e4 + self.reference_e4 * (1 - self.index / self.elasticity)) / 2
        with localcontext(CONTEXT):
            return Fraction(self._best_logit())

    def gain(self, price_e4: int) -> Fraction:
        """Return (price - cost) times demand up to a constant factor."""
        margin = price_e4 - self.cost_e4
        if self.form == "linear":
            return margin * (self.index + self.elasticity * (price_e4 / self.reference_e4 - 1))
        with localcontext(CONTEXT):
            if self.form == "iso_elastic":
                return margin * Fraction(_decimal(Fraction(price_e4)) ** _decimal(self.elasticity))
            slope, value = self._logit()
            if value is None:
                return Fraction(0)
            power = (slope * price_e4 - value).exp()
            return margin * Fraction(1 / (1 + power))

    def _logit(self) -> tuple[Decimal, Decimal | None]:
        slope = _decimal(-self.elasticity / (self.reference_e4 * (1 - self.share)))
        if self.index == 0:
            return slope, None
        share = _decimal(self.share / (1 - self.share))
        return slope, share.ln() + slope * _decimal(self.reference_e4) + _decimal(self.index).ln()

    def _best_logit(self) -> Decimal:
        slope, value = self._logit()
        cost = _decimal(self.cost_e4)
        w = Decimal(0) if value is None else _lambert_of_exp(value - slope * cost - 1)
        return cost + (1 + w) / slope


def _decimal(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def _lambert_of_exp(x: Decimal) -> Decimal:
    """Return W(e^x), the w > 0 with w + ln w = x, by Newton's method (concave: from the second step on it only rises)."""
    w = x if x > 1 else x.exp()
    for _ in range(200):
        better = w * (1 + x - w.ln()) / (1 + w)
        if abs(better - w) <= abs(w) * Decimal(10) ** (8 - DIGITS):
            return better
        w = better
    raise ArithmeticError(f"no W(e^x) for {x}")
