"""Links into the repository, whose address stands in the configuration and nowhere on a page.

    {colab}`notebooks/exercises/02_backprop/02_backprop.ipynb`   opens the notebook in Colab
    {repo}`Makefile`                                             shows the file in the repository
    {repo}`the workflow <.ci/run>`                               the same, with other words
    {repo}`the repository <.>`                                   the repository itself

A plain link from a chapter to an exercise notebook opens it in Colab too: students' notebooks are not pages.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import ReferenceRole

COLAB = "https://colab.research.google.com/github/"
GITHUB = "https://github.com/"
EXERCISES = "notebooks/exercises/"


def in_repository(config: Config, path: str) -> str:
    """The address of a file in the repository, or with ``.`` of the repository itself."""
    options = config.html_theme_options
    return options["repository_url"] + ("" if path == "." else f"/blob/{options['repository_branch']}/{path}")


def in_colab(config: Config, path: str) -> str:
    """The address that opens a notebook of the repository in Colab."""
    return in_repository(config, path).replace(GITHUB, COLAB, 1)


class RepositoryRole(ReferenceRole):
    """A link to a file of the repository."""

    def run(self):
        if not Path(self.env.srcdir, self.target).exists():
            message = self.inliner.reporter.warning(f"{self.target} is not in the repository", line=self.lineno)
            return [nodes.literal(text=self.title)], [message]
        link = nodes.reference(refuri=in_repository(self.env.config, self.target), internal=False)
        link += nodes.Text(self.title) if self.has_explicit_title else nodes.literal(text=self.title)
        return [link], []


class ColabRole(RepositoryRole):
    """A link that opens a notebook of the repository in Colab."""

    def run(self):
        if not self.has_explicit_title:
            self.title, self.has_explicit_title = "Open in Colab", True
        made, messages = super().run()
        if not messages:
            made[0]["refuri"] = in_colab(self.env.config, self.target)
        return made, messages


class ExercisesInColab(SphinxPostTransform):
    """Send links to exercise notebooks to Colab."""

    default_priority = 8  # before MyST resolves its references, at 9

    def run(self, **kwargs) -> None:
        for link in list(self.document.findall(addnodes.pending_xref)):
            path = f"{link['reftarget']}.ipynb"
            if path.startswith(EXERCISES) and Path(self.env.srcdir, path).is_file():
                found = nodes.reference(refuri=in_colab(self.config, path), internal=False)
                found += link.children
                link.replace_self(found)


def setup(app: Sphinx) -> dict:
    app.add_role("repo", RepositoryRole())
    app.add_role("colab", ColabRole())
    app.add_post_transform(ExercisesInColab)
    return {"version": "1", "parallel_read_safe": True}
