<?php

declare(strict_types=1);

namespace Harbour;

/** Product pictures from the back office. What they are is read from their bytes, never from their name. */
final class Uploads
{
    private const TYPES = ['image/jpeg' => 'jpg', 'image/png' => 'png', 'image/webp' => 'webp'];
    private const MOST_BYTES = 8 << 20;

    /**
     * @param array<string, mixed>|null $file an entry of $_FILES
     * @return string|null the picture's name below var, or null when none was sent
     * @throws \InvalidArgumentException with the reason, for the person
     */
    public static function store(?array $file, string $slug): ?string
    {
        if ($file === null || !is_int($file['error']) || $file['error'] === UPLOAD_ERR_NO_FILE) {
            return null;
        }
        if ($file['error'] !== UPLOAD_ERR_OK || $file['size'] > self::MOST_BYTES) {
            throw new \InvalidArgumentException('The picture did not arrive whole: it may have at most 8 MB.');
        }
        $size = @getimagesize($file['tmp_name']);
        $extension = self::TYPES[$size['mime'] ?? ''] ?? null;
        if ($extension === null) {
            throw new \InvalidArgumentException('The picture must be a JPEG, PNG or WebP file.');
        }
        $name = 'uploads/' . $slug . '-' . bin2hex(random_bytes(4)) . '.' . $extension;
        if (!move_uploaded_file($file['tmp_name'], STORE_ROOT . "/var/$name")) {
            throw new Unavailable('The picture could not be written to var/uploads.');
        }

        return $name;
    }
}
