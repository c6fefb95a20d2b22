CREATE TABLE IF NOT EXISTS outbox (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    recipient VARCHAR(190) NOT NULL,
    subject VARCHAR(190) NOT NULL,
    body TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    not_before DATETIME NOT NULL,
    attempts TINYINT UNSIGNED NOT NULL DEFAULT 0,
    sent_at DATETIME NULL,
    last_error VARCHAR(255) NULL,
    KEY waiting (sent_at, not_before)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
