CREATE TABLE IF NOT EXISTS amends_guard (
    saga_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    step        VARCHAR(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    direction   VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    round       INT NOT NULL,
    body_sha256 BINARY(32) NOT NULL,
    state       VARCHAR(9) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reply       LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    written_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (saga_id, step, direction),
    INDEX amends_guard_written_at (written_at)
) ENGINE = InnoDB;
