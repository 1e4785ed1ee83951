-- The stage of an upload that outlives its command is borrowed by that command. Until now requests and intents said `lent`.
UPDATE filestore.commands
   SET intent = intent - 'lent' || CASE WHEN intent ? 'lent' THEN jsonb_build_object('borrowed', intent->'lent') ELSE '{}' END,
       request = request - 'lent_stage'
              || CASE WHEN request ? 'lent_stage' THEN jsonb_build_object('borrowed_stage', request->'lent_stage') ELSE '{}' END
 WHERE intent ? 'lent' OR request ? 'lent_stage';
