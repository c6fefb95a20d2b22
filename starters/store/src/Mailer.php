<?php

declare(strict_types=1);

namespace Harbour;

/**
 * Mail goes through the outbox table: written with the order in one transaction, sent by the worker `bin/store mailer`.
 * With PLATFORM_SMTP_HOST it leaves by SMTP; without, it is written to var/mail as .eml files.
 */
final class Mailer
{
    private const SENDER = 'hello@harbour.example';
    private const MOST_ATTEMPTS = 8;

    public static function queue(string $recipient, string $subject, string $body): void
    {
        $now = gmdate('Y-m-d H:i:s');
        Database::insert('outbox', [
            'recipient' => $recipient, 'subject' => $subject, 'body' => $body, 'created_at' => $now, 'not_before' => $now,
        ]);
    }

    /** Sends what is due. A row is locked while it is sent, so several workers never send one mail twice. */
    public static function sendDue(): int
    {
        $sent = 0;
        while (Database::transaction(self::sendNext(...))) {
            $sent++;
        }

        return $sent;
    }

    private static function sendNext(): bool
    {
        $mail = Database::row(
            'SELECT * FROM outbox WHERE sent_at IS NULL AND attempts < ? AND not_before <= UTC_TIMESTAMP() ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED',
            [self::MOST_ATTEMPTS],
        );
        if ($mail === null) {
            return false;
        }
        try {
            $text = self::message($mail);
            Platform::smtpHost() === '' ? self::write((int) $mail['id'], $text) : self::deliver($mail['recipient'], $text);
            Database::run('UPDATE outbox SET sent_at = UTC_TIMESTAMP(), attempts = attempts + 1, last_error = NULL WHERE id = ?', [$mail['id']]);
            echo "Sent {$mail['id']}: {$mail['subject']}\n";
        } catch (\RuntimeException | \ErrorException $error) {
            // 1, 2, 4 ... minutes: a mail server that is away for an hour loses nothing.
            Database::run(
                'UPDATE outbox SET attempts = attempts + 1, last_error = ?, not_before = UTC_TIMESTAMP() + INTERVAL POW(2, attempts) MINUTE WHERE id = ?',
                [mb_substr($error->getMessage(), 0, 255), $mail['id']],
            );
            fwrite(STDERR, "Could not send {$mail['id']}: {$error->getMessage()}\n");
        }

        return true;
    }

    /** @param array<string, mixed> $mail */
    private static function message(array $mail): string
    {
        $headers = [
            'From: Harbour Coffee <' . self::SENDER . '>',
            'To: <' . self::address($mail['recipient']) . '>',
            'Subject: ' . mb_encode_mimeheader(preg_replace('/\s+/', ' ', $mail['subject']), 'UTF-8'),
            'Date: ' . gmdate(DATE_RFC2822),
            "Message-ID: <{$mail['id']}." . bin2hex(random_bytes(8)) . '@harbour.example>',
            'MIME-Version: 1.0',
            'Content-Type: text/plain; charset=UTF-8',
            'Content-Transfer-Encoding: base64',
        ];

        return implode("\r\n", $headers) . "\r\n\r\n" . chunk_split(base64_encode($mail['body']));
    }

    private static function address(string $recipient): string
    {
        return filter_var($recipient, FILTER_VALIDATE_EMAIL) ?: throw new \RuntimeException('The recipient is not an e-mail address.');
    }

    private static function write(int $id, string $text): void
    {
        $file = STORE_ROOT . "/var/mail/$id.eml";
        file_put_contents("$file.part", $text);
        rename("$file.part", $file);
    }

    private static function deliver(string $recipient, string $text): void
    {
        $socket = stream_socket_client('tcp://' . Platform::smtpHost() . ':25', $code, $reason, 10);
        if ($socket === false) {
            throw new \RuntimeException("The mail server does not answer: $reason");
        }
        stream_set_timeout($socket, 20);
        try {
            self::expect($socket, '220');
            foreach (['HELO harbour.example' => '250', 'MAIL FROM:<' . self::SENDER . '>' => '250', 'RCPT TO:<' . self::address($recipient) . '>' => '25', 'DATA' => '354'] as $command => $code) {
                fwrite($socket, "$command\r\n");
                self::expect($socket, $code);
            }
            // base64 and our own headers: no line begins with a dot.
            fwrite($socket, "$text\r\n.\r\n");
            self::expect($socket, '250');
            fwrite($socket, "QUIT\r\n");
        } finally {
            fclose($socket);
        }
    }

    /** @param resource $socket */
    private static function expect($socket, string $code): void
    {
        do {
            $line = (string) fgets($socket, 1024);
        } while (isset($line[3]) && $line[3] === '-');
        if (!str_starts_with($line, $code)) {
            throw new \RuntimeException('The mail server said: ' . trim($line === '' ? 'nothing' : $line));
        }
    }
}
