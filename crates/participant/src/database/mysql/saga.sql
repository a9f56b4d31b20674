CREATE TABLE IF NOT EXISTS amends_saga (
    saga_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    service    VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    saga_type  VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    state      VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    due_at     BIGINT NULL,
    record     LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    written_at DATETIME(6) NOT NULL,
    PRIMARY KEY (saga_id, service),
    INDEX amends_saga_due_at (service, due_at),
    INDEX amends_saga_written_at (written_at)
) ENGINE = InnoDB;
