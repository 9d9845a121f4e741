"""What every term keeps to, whatever it compares."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from trap_training.terms import AnyTerm, Term
from trap_training.terms.feature import ChannelWise, Hint, Native, Pearson
from trap_training.terms.localisation import Boxes, Localisation
from trap_training.terms.relation import BatchRelation, PositionRelation
from trap_training.terms.response import Response, Softened
from trap_training.terms.term import AdaptedMapTerm

from training.terms.pairs import Pair, cast, leaves, pair, positives, taps

TERMS: tuple[Term, ...] = (
    Response(),
    Response(temperature=3),
    Softened(),
    Localisation(),
    Localisation(where="teacher"),
    Boxes(),
    Hint(),
    ChannelWise(),
    Pearson(),
    Native(),
    BatchRelation(),
    PositionRelation(),
)
every = pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)


@every
def test_a_recipe_finds_a_term_by_its_name(term: Term):
    adapter: TypeAdapter[Term] = TypeAdapter(AnyTerm)
    assert type(adapter.validate_python({"term": term.name})) is type(term)


@pytest.mark.parametrize(
    "faulty",
    [
        {"term": "telepathy"},
        {"term": "response", "temperature": 0},
        {"term": "localisation", "temperature": -1},
        {"term": "cwd", "temperature": float("inf")},
        {"term": "softened", "alpha": 1.1},
        {"term": "softened", "alpha": -0.1},
        {"term": "native", "weight": -1},
        {"term": "boxes", "weight": float("nan")},
        {"term": "hint", "levels": []},
        {"term": "position_relation", "levels": []},
        {"term": "pkd", "levels": [3, 3]},
        {"term": "cwd", "levels": [2]},
        {"term": "response", "schedule": {"warmup": -1}},
        {"term": "hint", "strength": 1},
    ],
    ids=str,
)
def test_a_faulty_term_is_refused(faulty: dict[str, object]):
    adapter: TypeAdapter[Term] = TypeAdapter(AnyTerm)
    with pytest.raises(ValidationError):
        adapter.validate_python(faulty)


@every
def test_agreement_is_zero_and_teaches_nothing(term: Term):
    student = taps(1)
    loss = Pair(student, student.detached(), positives()).loss(term)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(leaf.grad is None or leaf.grad.abs().max() < 1e-6 for leaf in leaves(student))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15)
def test_disagreement_costs(seed: int):
    for term in TERMS:
        assert pair(seed).loss(term).item() > 0, term.name


@every
@pytest.mark.parametrize("classes", [1, 5])
def test_a_scalar_comes_of_any_number_of_classes(term: Term, classes: int):
    loss = pair(classes=classes).loss(term)
    assert loss.shape == ()
    assert loss.isfinite()


@every
def test_the_student_learns_and_the_teacher_does_not(term: Term):
    both = pair()
    both.loss(term).backward()
    assert all(leaf.grad is None for leaf in leaves(both.teacher))
    assert any(leaf.grad is not None and leaf.grad.abs().max() > 0 for leaf in leaves(both.student))


@every
def test_a_step_down_the_gradient_costs_less(term: Term):
    both = pair()
    before = both.loss(term)
    before.backward()
    norm = torch.stack([leaf.grad.square().sum() for leaf in leaves(both.student) if leaf.grad is not None]).sum()
    with torch.no_grad():
        for leaf in leaves(both.student):
            if leaf.grad is not None:
                leaf -= 1e-2 * before.detach() / norm * leaf.grad
    assert both.loss(term) < before


@every
def test_no_positive_anchor_gives_no_nan(term: Term):
    both = replace(pair(), positives=positives(count=0))
    loss = both.loss(term)
    loss.backward()
    assert loss.isfinite()
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves(both.student))


@pytest.mark.parametrize("term", [Softened(), Softened(alpha=1), Localisation()], ids=str)
def test_terms_over_positives_are_zero_where_there_are_none(term: Term):
    assert replace(pair(), positives=positives(count=0)).loss(term).item() == 0


@every
def test_half_precision_answers_are_compared_in_single(term: Term):
    halves = [cast(answers, torch.float16) for answers in (taps(0), taps(1))]
    singles = [cast(answers, torch.float32) for answers in halves]
    compared = Pair(*halves, positives()).loss(term)
    assert compared.dtype == torch.float32
    torch.testing.assert_close(compared, Pair(*singles, positives()).loss(term))


@every
def test_automatic_mixed_precision_changes_nothing(term: Term):
    alone = pair().loss(term)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(pair().loss(term), alone)


@every
def test_a_wider_teacher_teaches_a_narrow_student(term: Term):
    both = pair(teacher_channels=(9, 8, 7))
    loss = both.loss(term)
    loss.backward()
    assert loss.item() > 0
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves(both.student))


@every
def test_a_dead_channel_of_the_student_does_no_harm(term: Term):
    both = pair()
    with torch.no_grad():
        for tap in both.student.maps:
            tap[:, 0] = 0
    loss = both.loss(term)
    loss.backward()
    assert loss.isfinite()
    assert all(leaf.grad is None or leaf.grad.isfinite().all() for leaf in leaves(both.student))


@pytest.mark.parametrize("term", [term for term in TERMS if term.uses_maps], ids=lambda term: term.name)
def test_a_map_term_looks_at_its_own_levels_alone(term: Term):
    chosen = term.model_copy(update={"levels": (4,)})
    both = pair()
    both.loss(chosen).backward()
    assert [tap.grad is not None for tap in both.student.maps] == [False, True, False]


@every
def test_the_maps_count_exactly_where_a_term_says_so(term: Term):
    both = pair()
    other_maps = replace(both, teacher=replace(both.teacher, maps=taps(9).maps))
    assert (other_maps.loss(term) != both.loss(term)).item() is term.uses_maps


def test_only_adapted_terms_have_layers_to_train():
    with_layers = {term.name for term in TERMS if [*term.adapters((1, 2, 3), (4, 5, 6)).parameters()]}
    assert with_layers == {term.name for term in TERMS if isinstance(term, AdaptedMapTerm)} == {"hint", "cwd", "pkd"}
