//! The words of Changeover as data: versions, catalogs, plans, events, histories, verdicts.
