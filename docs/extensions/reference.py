"""The API reference: what autodoc is told so that it says what the source says.

Annotations are shown as they are written (``ArrayLike``, not the union that it stands for), bases
and members are the library's public ones, and a name in a docstring is looked up as its reader
would: first beside it, then in `stn_jax`.
"""

import abc
import re
import sys
from pathlib import Path

from docutils import nodes
from jax.typing import ArrayLike, DTypeLike
from public import MODULES, names_without_a_page, public_names
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python._object import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.ext.intersphinx import resolve_reference_any_inventory
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import stringify_annotation

SHORTER = {
    stringify_annotation(alias, "smart"): f"~jax.typing.{name}"
    for name, alias in (("ArrayLike", ArrayLike), ("DTypeLike", DTypeLike))
}
# Every Linen module has these.
OF_LINEN = re.compile(r",\s*parent: .*?, name: ~?str \| None = None")
SAME = {  # where a class says it is -> where its library documents it
    "jaxlib._jax.Array": "jax.Array",
    "jax.jaxlib._jax.Array": "jax.Array",
    "flax.nnx.module.Module": "flax.nnx.Module",
    "flax.nnx.pytreelib.Pytree": "flax.nnx.Pytree",
    "flax.nnx.rnglib.Rngs": "flax.nnx.Rngs",
    "flax.nnx.nn.linear.Linear": "flax.nnx.Linear",
    "flax.linen.module.Module": "flax.linen.Module",
    "flax.linen.linear.Dense": "flax.linen.Dense",
}


def shorten(app, what, name, obj, options, signature, returns):
    """Shows ``ArrayLike`` by its name, and a Linen module without Linen's own arguments."""
    if signature is None:
        return None
    texts = [signature, returns or ""]
    for long, short in SHORTER.items():
        texts = [text.replace(long, short) for text in texts]
    return OF_LINEN.sub("", texts[0]), texts[1] or None


def public_bases(app, name, obj, options, bases):
    """Shows for a private base the public class that it is made from."""
    known = {thing for thing in public_names().values() if isinstance(thing, type)}
    shown = []
    for base in bases:
        private = isinstance(base, type) and base.__module__.startswith("stn_jax")
        if private and base not in known:
            base = next((b for b in base.__mro__ if b in known), object)
        if base not in shown and base not in (object, abc.ABC):
            shown.append(base)
    bases[:] = shown or [object]


def members_of_the_library(app, what, name, obj, skip, options):
    """Skips what a class has from Flax, NamedTuple or object."""
    function = getattr(obj, "fget", None) or getattr(obj, "func", None) or obj
    module = getattr(function, "__module__", None) or ""
    if not module.startswith("stn_jax"):
        return True if callable(function) or "field number" in (obj.__doc__ or "") else skip
    return skip


def docstring_of_data(app, what, name, obj, options, lines):
    """Finds the docstring of a constant where it is defined, not where it is imported to."""
    if what != "data":
        return
    attribute = name.rpartition(".")[2]
    for path, module in sorted(sys.modules.items()):
        if path.startswith("stn_jax") and vars(module).get(attribute) is obj:
            found = ModuleAnalyzer.for_module(path).find_attr_docs().get(("", attribute))
            if found:
                lines[:] = found
                return


def find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """Finds what a name means that is not in the module of the page."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if target in SAME:
        node = node.copy()
        node["reftarget"] = SAME[target]
        node["reftype"] = "obj"
        return resolve_reference_any_inventory(env, False, node, text)
    domain = env.domains.python_domain
    tries = [f"{module}.{target}" for module in MODULES]
    if target.startswith("stn_jax."):  # stn_jax.transforms.affine.Affine is stn_jax.Affine
        tries += [f"{module}.{target.rpartition('.')[2]}" for module in MODULES]
    for name in tries:
        if name in domain.objects:
            page = node["refdoc"]
            return domain.resolve_xref(env, page, app.builder, "obj", name, node, text)
    return None


def every_name_has_a_page(app: Sphinx) -> None:
    """Refuses to build a reference that lacks a public name."""
    missing = names_without_a_page(Path(app.srcdir) / "api")
    if missing:
        raise ExtensionError(f"docs/api has no entry for {', '.join(missing)}; add one.")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects all of these."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("builder-inited", every_name_has_a_page)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-bases", public_bases)
    app.connect("autodoc-skip-member", members_of_the_library)
    app.connect("autodoc-process-docstring", docstring_of_data, priority=400)
    app.connect("missing-reference", find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
