CREATE EXTENSION IF NOT EXISTS vector;

-- Jobs: the row is the truth, whatever the broker delivers (shared by all services).
CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind text NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    library text,
    payload jsonb NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    result jsonb,
    error jsonb,
    idempotency_key text UNIQUE,
    cancel_requested boolean NOT NULL DEFAULT false,
    attempts int NOT NULL DEFAULT 0,
    fencing bigint NOT NULL DEFAULT 0,
    worker text,
    lease_until timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz
);
CREATE INDEX jobs_open ON jobs (kind, sequence) WHERE state IN ('queued', 'running');

-- Libraries and images (indexer).
CREATE TABLE libraries (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    floor double precision NOT NULL DEFAULT 0.80,
    live_index int,
    previous_index int,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE images (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    library_id int NOT NULL REFERENCES libraries (id),
    sha256 bytea NOT NULL,
    filename text NOT NULL,
    label text,
    width int NOT NULL,
    height int NOT NULL,
    bytes bigint NOT NULL,
    format text NOT NULL,
    perceptual_hash bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (library_id, sha256)
);
CREATE INDEX images_by_library ON images (library_id, id);
CREATE INDEX images_by_label ON images (library_id, label, id);
CREATE INDEX images_by_blob ON images (sha256);

-- An index is one library under one model; its rows lie in index_<id>, made with it,
-- and its class tables index_<id>_class_<i>, made when their first image arrives.
CREATE TABLE indexes (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    library_id int NOT NULL REFERENCES libraries (id),
    model_id text NOT NULL,
    classes text[] NOT NULL,
    feature_dimensions int NOT NULL,
    code_bits int NOT NULL,
    feature_metric text NOT NULL,
    retrieval jsonb NOT NULL,
    job_id uuid, -- the job that builds it, so that it goes on after a crash
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX indexes_by_library ON indexes (library_id);
CREATE INDEX indexes_by_model ON indexes (model_id);
ALTER TABLE libraries
    ADD FOREIGN KEY (live_index) REFERENCES indexes (id),
    ADD FOREIGN KEY (previous_index) REFERENCES indexes (id);

CREATE TABLE class_tables (
    index_id int NOT NULL REFERENCES indexes (id) ON DELETE CASCADE,
    class_id int NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (index_id, class_id)
);

-- The ledger of bulk ingests (indexer): one outcome per file.
CREATE TABLE ingest_items (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number int NOT NULL,
    name text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('indexed', 'stored', 'duplicate', 'rejected')),
    reason text,
    image_id bigint,
    PRIMARY KEY (job_id, number)
);
CREATE INDEX ingest_items_by_outcome ON ingest_items (job_id, outcome, number);

-- Blobs that no image named any more when they were written down here; swept after a grace time.
CREATE TABLE blob_garbage (
    sha256 bytea PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now()
);

-- The model registry and the training-speed curves (trainer).
CREATE TABLE models (
    id text PRIMARY KEY,
    library text NOT NULL,
    job_id uuid,
    card jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX models_by_library ON models (library, created_at);

CREATE TABLE training_runs (
    job_id uuid PRIMARY KEY,
    library text NOT NULL,
    model_id text,
    network text NOT NULL,
    recipe text NOT NULL,
    device text NOT NULL,
    machine text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE training_points (
    job_id uuid NOT NULL REFERENCES training_runs (job_id) ON DELETE CASCADE,
    iteration int NOT NULL,
    seconds double precision NOT NULL,
    loss double precision,
    images_per_second double precision,
    validation_accuracy double precision,
    PRIMARY KEY (job_id, iteration)
);

-- What the SLA report is measured from (admin).
CREATE TABLE sla_samples (
    at timestamptz PRIMARY KEY DEFAULT now(),
    ready boolean NOT NULL,
    searches bigint NOT NULL,
    failures bigint NOT NULL,
    rows_compared double precision NOT NULL,
    search_seconds double precision NOT NULL,
    latency_buckets jsonb NOT NULL
);
