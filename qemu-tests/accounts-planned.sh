# Who may plan commands with cron and at, as far as they are installed. Says what is not so, and "all tried" at the end.
if command -v crontab >/dev/null; then
    runuser -u "$NAME" -- crontab - <<<'@yearly true' 2>/dev/null && echo "$NAME has a crontab"
    crontab - <<<'@yearly true' || echo "root may not have a crontab"
    crontab -r
    runuser -u "$NAME" -- crontab -r 2>/dev/null
fi
if command -v at >/dev/null; then
    runuser -u "$NAME" -- at now + 9 days <<<'true' 2>/dev/null && echo "$NAME may use at"
    at now + 9 days <<<'true' 2>/dev/null || echo "root may not use at"
    atq | while read -r job _; do atrm "$job"; done
fi
echo "all tried"
