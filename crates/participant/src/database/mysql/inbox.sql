CREATE TABLE IF NOT EXISTS amends_inbox (
    source     VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    id         VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    written_at DATETIME(6) NOT NULL,
    PRIMARY KEY (source, id),
    INDEX amends_inbox_written_at (written_at)
) ENGINE = InnoDB;
