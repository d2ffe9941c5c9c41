"""How the bundled weights are made: the recipe, so that anybody with reviews can repeat it.

    starwise pretrain --reviews FOLDER --output lib/starwise/bundled
    torchrun --nproc-per-node 2 -m starwise pretrain --reviews FOLDER --output FOLDER
    starwise pretrain --reviews FOLDER --output lib/starwise/bundled --measure   # no training

FOLDER holds train-*.parquet and test.parquet with the columns source, domain, company, rating (1 to
5), title, text and, in test.parquet, split. No review is kept in the output, only the weights. The
steps: hold out rows by company; let a teacher say what it makes of each review and of pieces of
reviews (`teachers`); train the network on its word (starwise.train), then a little longer with more
reviews of the decider's kind; fit the shift of the logits and the calibration; pack the weights.
A run that is stopped goes on from where it was when it is started again, on another machine too if
--effort and --batch there are what a GPU, or none, makes them here. With --work the teacher's
answers stay, so that further seeds need not ask it again. torchrun is for several GPUs or machines:
on the cores of one machine a single process is faster.
"""

import argparse
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from starwise import model
from starwise.classes import CLASSES, balancing_weights, class_numbers
from starwise.errors import StarwiseError
from starwise.paths import whole_file
from starwise.predict import calibrate, predict_logits
from starwise.pretrain import measure
from starwise.pretrain.reviews import DECIDER, draws, held_out, read_reviews
from starwise.pretrain.teachers import EFFORTS, TEACHERS, Effort, lessons
from starwise.score import Scorer
from starwise.together import joined
from starwise.train import Settings, device_of_choice, train

ROUND = 100_000  # reviews between two looks at the validation rows
TARGETS = "targets.npy"  # in the folder of work: what the network is to answer, (rows, 3)
PIECES = "pieces.parquet"  # there, too: pieces of reviews that a teacher has read
ASKED = "asked.json"  # there, too: which teacher was asked about which reviews
PIECES_SHARE = 1.5  # pieces for a review drawn
HEADLINES_SHARE = 0.12  # headlines for a review drawn, where no teacher has read pieces
CLOSER = 0.15  # share of the decider's kind in the last draws
MOST_VALIDATED = 250  # of a domain and class


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reviews", type=Path, required=True, help="folder with train-*.parquet")
    parser.add_argument("--output", type=Path, required=True, help="model folder to write")
    parser.add_argument(
        "--rounds", type=int, default=20, help=f"rounds of {ROUND:,} reviews (default 20)"
    )
    parser.add_argument("--round", type=int, default=ROUND, help="reviews in a round")
    parser.add_argument("--batch", type=int, help="reviews in a step (default 64; on a GPU 256)")
    parser.add_argument(
        "--teacher",
        choices=TEACHERS,
        default=TEACHERS[0],
        help="who reads the reviews first (default %(default)s)",
    )
    parser.add_argument(
        "--effort",
        choices=tuple(EFFORTS),
        help="how much is asked of the teacher that reads sentences (default: large on a GPU)",
    )
    parser.add_argument(
        "--start-from", default="scratch", help="a model folder to go on from, at half the rate"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws order, noise, first weights")
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for the teacher's answers, kept for further seeds"
        " (default OUTPUT.work, deleted at the end)",
    )
    parser.add_argument("--measure", action="store_true", help="measure what is there, no training")


def main(args: argparse.Namespace) -> int:
    if not args.measure:
        # A GPU takes the same time for a small batch as for a large one.
        usual = 256 if device_of_choice().type == "cuda" else 64
        batch = usual if args.batch is None else args.batch
        if min(args.rounds, args.round, batch) < 1:
            raise StarwiseError("--rounds, --round and --batch are numbers of at least 1")
        rate = 2e-3 if args.start_from == "scratch" else 1e-3
        settings = Settings(
            epochs=args.rounds,
            reviews_per_epoch=args.round,
            batch_size=batch,
            start_from=args.start_from,
            learning_rate=rate * (batch / 64) ** 0.5,
            weight_decay=0.05,
            label_smoothing=0.0,
            # Who has read pieces knows what a beginning is worth; the stars are those of the whole.
            cut=0.0 if args.teacher == "sentences" else 0.3,
            longest=520,
            averaging=0.998,
            patience=args.rounds,  # the learning rate fades to the end: let it
            seed=args.seed,
        )
        effort = EFFORTS[args.effort] if args.effort else None
        pretrain(args.reviews, args.output, settings, args.teacher, effort=effort, work=args.work)
    test = args.reviews / "test.parquet"
    if test.is_file():
        rows = measure.test_rows(args.reviews)
        print(measure.by_part(Scorer.load(args.output).probabilities, rows).to_string(index=False))
    return 0


def pretrain(
    reviews: Path,
    output: Path,
    settings: Settings,
    teacher: str = TEACHERS[0],
    report: Callable[[str], None] = lambda line: print(line, flush=True),
    effort: Effort | None = None,
    work: Path | None = None,
) -> None:
    """Write a model folder trained on the reviews of a folder.

    work: where the teacher's answers, the checkpoint and the network before it is packed lie; it is
    kept, for another seed needs the same answers. None for `<output>.work`, deleted at the end.
    effort: None for what suits the machine. Raises StarwiseError where work has other answers.
    """
    kept = work is not None
    output = Path(output).absolute()
    work = Path(work) if kept else output.with_name(f"{output.name}.work")
    effort = effort or EFFORTS["large" if device_of_choice().type == "cuda" else "small"]
    frame = read_reviews(reviews)
    held = held_out(frame)
    with joined() as team:
        if team.first:
            _asked(frame, teacher, effort, work)
            _prepared(frame, held, teacher, work, report, effort)
        team.wait()
        training, validation = _parts(frame, held, settings, work)
        if team.first:
            for name, part in [("training", training), ("validation", validation)]:
                counts = part["label"].value_counts()
                report(f"{name}: " + ", ".join(f"{counts[each]:,} {each}" for each in CLASSES))
        if not _trained(work / "network", settings):
            train(training, validation, settings, work / "network", report)
        team.wait()  # for all to have looked before the first one writes
        adapt(training, validation, settings, work, report)
        if team.first:
            _finish(work, output, validation, teacher)
            if not kept:
                shutil.rmtree(work)
        team.wait()


def adapt(
    training: pd.DataFrame,
    validation: pd.DataFrame,
    settings: Settings,
    work: Path,
    report: Callable[[str], None] = print,
) -> None:
    """Train `work`/network a little longer, with more of the decider's kind, into `work`/adapted.

    It is what visitors write, and of its reviews there are few. Without any, nothing is done.
    """
    own = (training["source"] == DECIDER).to_numpy()
    if not own.any():
        return
    draws = training["draws"].to_numpy() / training["draws"].sum()
    share = np.where(own, CLOSER / own.sum(), (1 - CLOSER) * draws)
    shorter = dataclasses.replace(
        settings,
        start_from=str(work / "network"),
        epochs=2,
        reviews_per_epoch=max(settings.reviews_per_epoch // 4, 64),
        learning_rate=settings.learning_rate / 4,
        averaging=0.99,
        label_smoothing=0.0,
    )
    closer = training.assign(draws=share * shorter.reviews_per_epoch)
    train(closer, _deciding(validation), shorter, work / "adapted", report)


def _asked(frame: pd.DataFrame, teacher: str, effort: Effort, work: Path) -> None:
    """Refuse a folder of work that has answers to another question: they fit other rows."""
    rows = pd.util.hash_pandas_object(frame).sum()
    question = {"teacher": teacher, "reviews": f"{len(frame)} rows, {rows:x}"}
    if teacher == "sentences":
        question["effort"] = dataclasses.asdict(effort)
    path = work / ASKED
    work.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(question, indent=2) + "\n")
    elif json.loads(path.read_text()) != question:
        raise StarwiseError(
            f"{work} has a teacher's answers about other reviews, or of another --teacher or"
            " --effort: ask as you did then, or name another folder with --work"
        )


def _prepared(frame, held, teacher, work, report, effort) -> None:
    """Ask the teacher, unless a former run has: its answers are kept for the next try."""
    path = work / TARGETS
    if not path.is_file():
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)  # the others of a team only wait
        targets, pieces = lessons(frame, held, teacher, work, report, effort)
        torch.set_num_threads(threads)
        if pieces is not None:
            with whole_file(work / PIECES) as temporary:
                pieces.to_parquet(temporary)
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.save(file, targets.astype(np.float32))


def _trained(folder: Path, settings: Settings) -> bool:
    """Say whether a former run ended here; what is done leaves no checkpoint to go on from."""
    try:
        return model.load(folder)[1]["settings"] == dataclasses.asdict(settings)
    except model.ModelError:
        return False


def _parts(
    frame: pd.DataFrame, held: np.ndarray, settings: Settings, work: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows with targets and draws, and the validation rows."""
    training = frame[~held].reset_index(drop=True)
    training["draws"] = draws(training, settings.reviews_per_epoch, most=2)
    training[list(CLASSES)] = np.load(work / TARGETS)[~held]
    more = _pieces(training, frame, work)
    share = PIECES_SHARE if (work / PIECES).is_file() else HEADLINES_SHARE
    more["draws"] = draws(more, round(share * settings.reviews_per_epoch), most=2)
    training = pd.concat([training, more], ignore_index=True)
    others = frame[held].sample(frac=1.0, random_state=0)
    place = others.groupby(["domain", "label"]).cumcount()
    chosen = (others["source"] == DECIDER) | (place < MOST_VALIDATED)
    return training, others[chosen].reset_index(drop=True)


def _pieces(training: pd.DataFrame, frame: pd.DataFrame, work: Path) -> pd.DataFrame:
    """Return further rows with targets: pieces that a teacher has read, else headlines.

    A headline is plain, and mostly deserves the stars of its text.
    """
    if (work / PIECES).is_file():
        found = pd.read_parquet(work / PIECES)
    else:
        found = training[training["title"].str.len() > 4].drop_duplicates("title")
        found = found.assign(text=found["title"])
        found[list(CLASSES)] = 0.1 + 0.7 * np.eye(len(CLASSES))[class_numbers(found["label"])]
    return found[~found["text"].isin(set(frame["text"]))].reset_index(drop=True)


def _finish(work: Path, output: Path, validation: pd.DataFrame, teacher: str) -> None:
    adapted = (work / "adapted" / "model.json").is_file()
    network, card = model.load(work / ("adapted" if adapted else "network"))
    made_by_save = {"format", "config", "classes", "parameters", "sha256"}
    card = {key: value for key, value in card.items() if key not in made_by_save}
    if adapted:  # told of both parts, the long one first
        _, whole = model.load(work / "network")
        card["closer"] = {
            "settings": {**card["settings"], "start_from": "the network above"},
            "history": card["history"],
        }
        card |= {key: whole[key] for key in ("settings", "history")}
    level(network, validation)
    rows = _deciding(validation)
    calibration = calibrate(network, rows["text"].tolist(), class_numbers(rows["label"]))
    card |= dataclasses.asdict(calibration)
    model.save(output, network, {**card, "name": "bundled", "teacher": teacher}, packed=True)


def level(network: torch.nn.Module, validation: pd.DataFrame) -> np.ndarray:
    """Shift the network's three logits so that no class is said too readily; return the shifts.

    What the domains have taught together says "average" too seldom for reviews of the decider's
    kind. The shifts, with a temperature, are those of the smallest loss on its whole texts.
    """
    rows = _deciding(validation)
    logits = torch.from_numpy(predict_logits(network, rows["text"].tolist()))
    labels = torch.from_numpy(class_numbers(rows["label"]))
    weights = torch.from_numpy(balancing_weights(labels.numpy()))

    def loss(guess: np.ndarray) -> float:
        scaled = logits * np.exp(guess[3]) + torch.tensor(guess[:3])
        return float((weights * F.cross_entropy(scaled, labels, reduction="none")).sum())

    found = minimize(loss, np.zeros(4)).x
    shifts = (found[:3] - found[:3].mean()) / np.exp(found[3])
    with torch.no_grad():
        network.classify.bias += torch.tensor(shifts, dtype=torch.float32)
    return shifts


def _deciding(validation: pd.DataFrame) -> pd.DataFrame:
    """Return the decider's rows, where there are some: they are of the kind that visitors write."""
    deciding = validation[validation["source"] == DECIDER]
    return deciding if deciding["label"].nunique() == len(CLASSES) else validation
