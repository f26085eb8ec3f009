"""Why the platform keeps personal data, on which legal basis, and how long.

What stands here is what the platform is built for. Periods and bases are for a company's counsel to
confirm: they depend on the country in which it trades.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One processing activity (GDPR, Article 30): what for, on which basis, how long.

    `ended_by` is what makes an end of it: a timer, a function, or the erasure of a customer.
    """

    name: str
    purpose: str
    basis: str
    retention: str
    ended_by: str


CONTRACT = "contract: Article 6(1)(b)"
OBLIGATION = "legal obligation: Article 6(1)(c)"
INTEREST = "legitimate interest: Article 6(1)(f)"
CONSENT = "choice of the person: Article 6(1)(a)"
ERASURE = "erasure of the customer"

ACCOUNT = Record(
    "account",
    "know the customer who orders, and reach him about it",
    CONTRACT,
    "until the customer has the account erased",
    ERASURE,
)
ORDER = Record(
    "order",
    "sell and deliver what was ordered; keep the books",
    f"{CONTRACT}; then {OBLIGATION}",
    "names, addresses and words until the order is settled; what the books need 8 years after its "
    "year (Germany: § 147 AO, § 257 HGB)",
    ERASURE,
)
PAYMENT = Record(
    "payment",
    "take money for an order and give it back; keep the books",
    f"{CONTRACT}; then {OBLIGATION}",
    "as long as the order",
    ERASURE,
)
STOCK = Record(
    "stock",
    "hold goods for an order and account for every piece",
    f"{CONTRACT}; then {OBLIGATION}",
    "as long as the order",
    "stays without the person when the order's customer is erased",
)
MESSAGES = Record(
    "messages",
    "tell people what happened to what they ordered, and prove that they were told",
    CONTRACT,
    "until the customer has the account erased",
    ERASURE,
)
CHOICES = Record(
    "choices",
    "tell people only what they want to hear, when and where they want it",
    CONSENT,
    "until the person changes the choice or has the account erased",
    ERASURE,
)
SUPPRESSION = Record(
    "suppression",
    "send nothing more to an address that bounced",
    INTEREST,
    "as long as the address is dead; a keyed digest, which nobody can read",
    "removal of the row",
)
SIGN_IN = Record(
    "sign-in",
    "end a person's sessions when the person says so",
    INTEREST,
    "400 days: until no token of the session could still be good",
    "the next sign-outs, which take old rows away",
)
AUDIT = Record(
    "audit",
    "prove who did what, and who saw whose data",
    f"{OBLIGATION} (Articles 5(2), 30); {INTEREST}",
    "entries for good, as ids; details until the person they are about is erased",
    "audit.erase_details",
)
DELIVERY = Record(
    "delivery of events",
    "let every part of the platform learn of a change exactly once",
    INTEREST,
    "7 days after it was sent, 30 days after it was received; why one was refused stays",
    "timer of housekeeping",
)
CATALOGUE = Record("catalogue", "say what is for sale", "no personal data", "–", "–")
REQUESTS = Record(
    "requests",
    "answer a request that is sent twice with the first answer",
    CONTRACT,
    "7 days",
    "timer of housekeeping",
)
