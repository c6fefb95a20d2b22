CREATE TABLE IF NOT EXISTS orders (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    number VARCHAR(20) NOT NULL UNIQUE,
    access_key CHAR(24) NOT NULL COMMENT 'lets a guest open the confirmation page',
    customer_id INT UNSIGNED NULL,
    email VARCHAR(190) NOT NULL,
    status ENUM('awaiting_payment', 'paid', 'shipped', 'delivered', 'cancelled') NOT NULL,
    subtotal_cents INT UNSIGNED NOT NULL,
    shipping_cents INT UNSIGNED NOT NULL,
    total_cents INT UNSIGNED NOT NULL,
    ship_name VARCHAR(120) NOT NULL,
    ship_street VARCHAR(120) NOT NULL,
    ship_postcode VARCHAR(16) NOT NULL,
    ship_city VARCHAR(80) NOT NULL,
    ship_country CHAR(2) NOT NULL,
    ship_phone VARCHAR(32) NULL,
    payment_method ENUM('card', 'invoice') NOT NULL,
    card_brand VARCHAR(16) NULL,
    card_last4 CHAR(4) NULL,
    ip VARCHAR(45) NULL,
    note TEXT NULL,
    placed_at DATETIME NOT NULL,
    KEY by_date (placed_at),
    KEY by_status (status, placed_at),
    KEY by_email (email),
    CONSTRAINT order_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS order_items (
    order_id INT UNSIGNED NOT NULL,
    product_id INT UNSIGNED NOT NULL,
    name VARCHAR(120) NOT NULL COMMENT 'as it was sold',
    unit_cents INT UNSIGNED NOT NULL,
    quantity INT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id, product_id),
    CONSTRAINT item_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT item_product FOREIGN KEY (product_id) REFERENCES products (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
