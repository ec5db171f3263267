# Makes plain `nbgrader ...` work in this folder: same layout, same sandbox, same judge as `dlcourse grade`.
import os
import sysconfig

from dlcourse.grading.course import COURSE_ID
from dlcourse.grading.nbgrader_steps import install

c = get_config()  # noqa: F821

# nbgrader starts programs of its environment, which need not be activated
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])

c.CourseDirectory.course_id = COURSE_ID
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks/exercises"
c.CourseDirectory.submitted_directory = "submitted"
c.CourseDirectory.autograded_directory = "autograded"
c.CourseDirectory.feedback_directory = "feedback"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__"]

# as nbgrader's own list, with one step more
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearSolutions",
    "dlcourse.grading.nbgrader_steps.KeepRunning",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbgrader.preprocessors.ClearMarkScheme",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# Submissions are found and read without following links; the judge runs them behind the wall and decides.
install()
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = ["dlcourse.grading.nbgrader_steps.JudgeNotebook"]

# What a student's notebook can show, nothing that it can run: in the feedback page and in formgrader.
c.GenerateFeedback.exporter_class = "dlcourse.grading.clean.FeedbackExporter"
c.HTMLExporter.filters = {"markdown2html": "dlcourse.grading.clean.markdown2html"}
c.HTMLExporter.sanitize_html = True
