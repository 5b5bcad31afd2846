"""From the files of a run to figures and one self-contained page; nothing here trains."""

from drl_latent.report.figure_files import draw_inspection, draw_scores
from drl_latent.report.page import write_report
from drl_latent.report.study_page import write_study_report

__all__ = ["draw_inspection", "draw_scores", "write_report", "write_study_report"]
