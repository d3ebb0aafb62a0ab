-- Further numbers of a metric row by name: the z-loss of a training, and whatever a program reports. JSON; null stands
-- for what is no number. The digest of the row covers it.
ALTER TABLE metric ADD COLUMN more TEXT CHECK (more IS NULL OR json_valid(more));

PRAGMA user_version = 6;
