"""How keys are named and found: aliases, tags, descriptions, listings."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from kmskit import AlreadyExistsError, KeyNotFoundError, KeySpec, KeyState, KeyUsage, Kms
from kmskit.testing.conformance.base import Conformance, create, listed, new_alias, require

__all__ = ["NamingConformance"]


class NamingConformance(Conformance):
    # Aliases

    def test_a_key_has_as_many_aliases_as_it_is_given(self, kms: Kms) -> None:
        first, second = new_alias(), new_alias()
        key = create(kms, first)
        key.add_alias(f"alias/{second}")
        assert set(key.aliases) == set(kms.key(first).aliases) == {first, second}
        assert kms.key(second) == key
        key.remove_alias(f"alias/{first}")
        assert key.aliases == kms.key(key.id).aliases == (second,)
        with pytest.raises(KeyNotFoundError):
            kms.key(first)

    def test_an_alias_belongs_to_one_key(self, kms: Kms) -> None:
        alias = new_alias()
        key, other = create(kms, alias), create(kms)
        for taken in (alias, f"alias/{alias}"):
            with pytest.raises(AlreadyExistsError) as refused:
                other.add_alias(taken)
            assert "kms.key(" in (refused.value.hint or "")
        assert kms.key(alias) == key
        assert kms.key(other.id).aliases == ()

    def test_an_alias_moves_to_another_key(self, kms: Kms) -> None:
        alias = new_alias()
        old, new = create(kms, alias), create(kms)
        old.remove_alias(alias)
        new.add_alias(alias)
        assert kms.key(alias) == new
        assert kms.key(old.id).aliases == ()

    def test_only_an_alias_of_the_key_is_removed(self, kms: Kms) -> None:
        alias = new_alias()
        key, other = create(kms, alias), create(kms)
        for name in (alias, new_alias()):
            with pytest.raises(KeyNotFoundError):
                other.remove_alias(name)
        assert kms.key(alias) == key

    def test_an_alias_may_not_look_like_a_key_id(self, kms: Kms) -> None:
        key = create(kms)
        for name in (
            key.id,
            "123e4567-e89b-12d3-a456-426614174000",
            "123E4567-E89B-12D3-A456-426614174000",
            "alias/123e4567-e89b-12d3-a456-426614174000",
            "key-hzz62f1cb66fa42qo7zcb",
        ):
            with pytest.raises(ValueError, match="alias"):
                create(kms, name)
            with pytest.raises(ValueError, match="alias"):
                key.add_alias(name)
        assert kms.key(key.id).aliases == ()

    def test_an_alias_is_text_of_a_sensible_length(self, kms: Kms) -> None:
        key = create(kms)
        for name in ("", "alias/", "x" * 250):
            with pytest.raises(ValueError, match="alias"):
                create(kms, name)
            with pytest.raises(ValueError, match="alias"):
                key.add_alias(name)
        wrong: Any
        for wrong in (None, 7, b"bytes"):
            with pytest.raises(TypeError, match="alias"):
                key.add_alias(wrong)
            with pytest.raises(TypeError, match="alias"):
                key.remove_alias(wrong)

    # Description and tags

    def test_a_description_changes_alone(self, kms: Kms) -> None:
        key = create(kms, description="before", tags={"a": "1"})
        key.update(description="after, 之后")
        for shown in (key, kms.key(key.id)):
            assert (shown.description, dict(shown.tags)) == ("after, 之后", {"a": "1"})
        key.update(description="")
        assert (kms.key(key.id).description, dict(kms.key(key.id).tags)) == ("", {"a": "1"})

    def test_tags_are_replaced_as_a_whole(self, kms: Kms) -> None:
        key = create(kms, description="kept", tags={"a": "1", "b": "2"})
        key.update(tags={"b": "3", "c": "4"})
        for shown in (key, kms.key(key.id)):
            assert (shown.description, dict(shown.tags)) == ("kept", {"b": "3", "c": "4"})
        key.update()
        assert dict(kms.key(key.id).tags) == {"b": "3", "c": "4"}
        key.update(tags={})
        assert dict(kms.key(key.id).tags) == {}

    def test_tags_and_descriptions_are_text(self, kms: Kms) -> None:
        key = create(kms)
        wrong: Any
        for wrong in ({"a": 1}, {1: "a"}, {"a": None}, "text", 7):
            with pytest.raises(TypeError, match="tags"):
                key.update(tags=wrong)
        for wrong in (7, b"bytes"):
            with pytest.raises(TypeError, match="description"):
                key.update(description=wrong)
        with pytest.raises(ValueError, match="tags"):
            key.update(tags={"": "empty name"})

    def test_tags_are_read_only(self, kms: Kms) -> None:
        tags: Any = create(kms, tags={"a": "1"}).tags
        with pytest.raises(TypeError):
            tags["a"] = "2"

    # Listing

    def test_keys_are_found_by_tag(self, kms: Kms) -> None:
        mark = new_alias()
        first = create(kms, tags={"mark": mark, "stage": "test"})
        second = create(kms, tags={"mark": mark, "stage": "live"})
        third = create(kms, tags={"other": mark})
        assert set(listed(kms, tag=("mark", mark))) == {first.id, second.id}
        assert listed(kms, tag={"mark": mark, "stage": "live"}) == [second.id]
        assert {first.id, second.id} <= set(listed(kms, tag="mark"))
        assert third.id not in listed(kms, tag="mark")
        assert listed(kms, tag=("mark", "nowhere")) == []
        second.update(tags={})
        assert listed(kms, tag=("mark", mark)) == [first.id]

    def test_keys_are_found_by_what_they_are(self, kms: Kms) -> None:
        require(kms, KeySpec.AES_256, "encrypt")
        mark = new_alias()
        alias, tags = new_alias(), {"mark": mark}
        key, disabled = kms.create_key(alias, tags=tags), kms.create_key(tags=tags)
        disabled.disable()
        both = {key.id, disabled.id}
        expected: list[tuple[dict[str, Any], set[str]]] = [
            ({"spec": "AES_256"}, both),
            ({"spec": KeySpec.AES_256, "usage": KeyUsage.ENCRYPT_DECRYPT}, both),
            ({"spec": "HMAC_256"}, set()),
            ({"usage": "SIGN_VERIFY"}, set()),
            ({"state": "ENABLED"}, {key.id}),
            ({"state": KeyState.DISABLED}, {disabled.id}),
            ({"protection": key.protection}, both),
            ({"alias": alias}, {key.id}),
            ({"alias": f"alias/{alias}"}, {key.id}),
            ({"alias": new_alias()}, set()),
        ]
        for wanted, ids in expected:
            assert set(listed(kms, tag=("mark", mark), **wanted)) == ids, wanted
        for unknown in ({"usage": "COOKING"}, {"state": "ASLEEP"}, {"protection": "PAPER"}):
            with pytest.raises(ValueError, match="is not a valid"):
                kms.keys(**unknown)

    def test_a_listing_goes_on_over_the_end_of_a_page(self, kms: Kms) -> None:
        mark = new_alias()
        made = [create(kms, tags={"mark": mark}).id for _ in range(self.page + 1)]
        found = listed(kms, tag=("mark", mark))
        assert len(found) == len(made)
        assert set(found) == set(made)
        everything = listed(kms)
        assert len(everything) == len(set(everything))
        assert set(made) <= set(everything)

    def test_a_listing_is_lazy(self, kms: Kms) -> None:
        create(kms)
        listing = kms.keys()
        assert iter(listing) is listing
        assert len(list(islice(listing, 1))) == 1

    def test_a_listed_key_can_be_used(self, kms: Kms) -> None:
        require(kms, KeySpec.AES_256, "encrypt")
        mark = new_alias()
        made = kms.create_key(tags={"mark": mark})
        (key,) = kms.keys(tag=("mark", mark))
        assert key == made
        assert made.decrypt(key.encrypt(b"x")) == b"x"
