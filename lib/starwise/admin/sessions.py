"""Who is signed in: a signed note that the browser keeps, and nothing on the server.

sessions = Sessions(token)
note = sessions.begin()                 # for the cookie
sessions.knows(note)                    # True until it expires, is ended, or the token changes

Any process that has the same token reads the notes of the others.
"""

import hashlib
import hmac
import secrets
import time

HOURS = 8  # that a session lasts


class Sessions:
    """The sessions that one administrator's token opens."""

    def __init__(self, token: str, seconds: float = HOURS * 3600) -> None:
        self._token = token.encode()
        # The notes are signed with what follows from the token and does not lead back to it.
        self._key = hmac.digest(self._token, b"starwise: sessions of the administrator", "sha256")
        self.seconds = seconds
        self._ended: dict[str, float] = {}  # signed out, and when each expires anyway

    def opens(self, given: str) -> bool:
        """Say whether this is the token; it takes as long for a wrong one."""
        here, there = (hashlib.sha256(word).digest() for word in (self._token, given.encode()))
        return secrets.compare_digest(here, there)

    def begin(self) -> str:
        """Return the note of a new session: when it ends, a random word, and the signature."""
        body = f"{int(time.time() + self.seconds)}.{secrets.token_urlsafe(16)}"
        return f"{body}.{self._signature('session', body)}"

    def knows(self, note: str) -> bool:
        """Say whether the note is ours, has not expired and has not been ended."""
        body, _, signature = note.rpartition(".")
        if not self._same(signature, self._signature("session", body)) or note in self._ended:
            return False
        return int(body.partition(".")[0]) > time.time()

    def end(self, note: str) -> None:
        """Let this process not know the note any more."""
        now = time.time()
        self._ended = {old: until for old, until in self._ended.items() if until > now}
        if self.knows(note):
            self._ended[note] = now + self.seconds

    def form_word(self, note: str) -> str:
        """Return what a form of this session carries, so that no other site can send one."""
        return self._signature("form", note)

    def is_form_word(self, given: str, note: str) -> bool:
        return self._same(given, self.form_word(note))

    def _signature(self, purpose: str, body: str) -> str:
        return hmac.new(self._key, f"{purpose}:{body}".encode(), hashlib.sha256).hexdigest()

    @staticmethod
    def _same(one: str, other: str) -> bool:
        return secrets.compare_digest(one.encode(), other.encode())
