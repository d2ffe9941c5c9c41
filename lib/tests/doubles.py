"""A scorer without a network, for tests of what surrounds it."""

from starwise.score import Score


class WordScorer:
    """Counts a few good and bad words; deterministic and instant."""

    name = "words"

    def score(self, text: str) -> Score | None:
        if not text.strip():
            return None
        words = [word.strip(".,!?").lower() for word in text.split()]
        good = 1 + 4 * sum(word in {"good", "great", "lovely", "kind"} for word in words)
        bad = 1 + 4 * sum(word in {"bad", "broken", "rude", "never"} for word in words)
        total = good + bad + 1
        probabilities = {"bad": bad / total, "average": 1 / total, "good": good / total}
        sentiment = probabilities["good"] + probabilities["average"] / 2
        label = max(probabilities, key=probabilities.__getitem__)
        return Score(sentiment, 1 + min(4, int(5 * sentiment)), label, probabilities, self.name)
