import { ChatTimeline, HlsAdapter } from 'chatsync-player';
import Hls from 'hls.js';
import { useEffect, useRef, useState, useSyncExternalStore, type FormEvent } from 'react';

export function Lecture({ stream, server, room }: { stream: string; server: string; room: string }) {
  const video = useRef<HTMLVideoElement>(null);
  const [timeline] = useState(() => new ChatTimeline({ server, room }));
  const chat = useSyncExternalStore(timeline.subscribe, () => timeline.snapshot, () => timeline.snapshot);

  useEffect(() => {
    const hls = new Hls();
    hls.loadSource(stream);
    hls.attachMedia(video.current!);
    const adapter = new HlsAdapter(hls, video.current!);
    timeline.attach(adapter);
    timeline.start();
    return () => (timeline.stop(), adapter.destroy(), hls.destroy());
  }, [timeline, stream]);

  const send = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    timeline.say(String(new FormData(event.currentTarget).get('text')));
    event.currentTarget.reset();
  };

  return (
    <>
      <video ref={video} controls />
      {chat.state?.polls.map((poll) => <p key={poll.poll}>{poll.question} {poll.tally.join(' : ')}</p>)}
      <ol>
        {chat.rows.map((row) => <li key={row.offset}><b>{row.author?.name}</b> {row.text}</li>)}
        {chat.pending.map((own) => <li key={own.id}>{own.text} <i>{own.state === 'held' ? 'waits for a moderator' : own.state}</i></li>)}
      </ol>
      {chat.you !== null && <form onSubmit={send}><input name="text" /></form>}
    </>
  );
}
