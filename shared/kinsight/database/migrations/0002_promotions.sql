-- How many crops of a picture the vectors of an index are the mean of (AlexNet, section 4.1).
ALTER TABLE indexes ADD COLUMN crops int NOT NULL DEFAULT 1 CHECK (crops IN (1, 10));

-- NULL: nobody has set a floor, and the default holds.
ALTER TABLE libraries ALTER COLUMN floor DROP DEFAULT, ALTER COLUMN floor DROP NOT NULL;
UPDATE libraries SET floor = NULL WHERE floor = 0.80;

-- What became of every model that was to go live, and every return to an earlier one (indexer).
-- Models are named by id, not referenced: the history outlives them.
CREATE TABLE promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    library_id int NOT NULL REFERENCES libraries (id) ON DELETE CASCADE,
    job_id uuid UNIQUE, -- one line per job, however often it is taken up; rollbacks have none
    model_id text NOT NULL,
    previous_model text, -- live until then; of a refusal: the one that stays
    crops int NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('promoted', 'refused', 'overridden', 'rolled-back')),
    made_by text,
    reason text,
    -- what the gate measured and said; NULL for rollbacks
    passed boolean,
    verdict text,
    p_at_10 double precision,
    live_p_at_10 double precision,
    floor double precision,
    queries int,
    live_queries int,
    same_images boolean
);
CREATE INDEX promotions_by_library ON promotions (library_id, id);
