CREATE TABLE IF NOT EXISTS amends_outbox (
    id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    message_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    saga_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind       VARCHAR(5) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name       VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    attributes LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    body       LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    written_at DATETIME(6) NOT NULL,
    INDEX amends_outbox_saga (saga_id, id)
) ENGINE = InnoDB;
